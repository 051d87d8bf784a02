"""A viewer's relations and followees, from the truth."""

from __future__ import annotations

from collections.abc import Iterable

from rookery_server.cache.interface import Lists, RelationsRead
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.models import Edge, Relations


def relations_of(edges: Iterable[Edge]) -> Relations:
    """What the rules need, out of all edges of a follower, those removed in the last 8 days included."""
    edges = tuple(edges)
    return Relations(
        version=max((edge.version_us for edge in edges), default=0),
        unfollowed=frozenset(edge.followee_id for edge in edges if not edge.on),
    )


def followees_of(edges: Iterable[Edge]) -> frozenset[int]:
    return frozenset(edge.followee_id for edge in edges if edge.on)


async def keep_relations(cache: Lists, user_id: int, seen: RelationsRead, relations: Relations) -> None:
    """Stores them over exactly what was seen before the truth was read (R2); best effort."""
    try:
        await cache.store_relations(user_id, seen.seen, relations)
    except CacheUnavailable:
        return  # the next read loads them again
