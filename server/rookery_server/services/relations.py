"""A viewer's relations and followees, from the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol

from rookery_server.cache.interface import Lists, RelationsRead
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import BLOCKERS_CARRIED
from rookery_server.domain.models import Block, Edge, Mute, Relations
from rookery_server.store.interface import GraphStore, RelationStore


class RelationRows(GraphStore, RelationStore, Protocol):
    """Every row that speaks of a viewer's relations."""


def relations_of(
    edges: Iterable[Edge],
    blocks: Iterable[Block] = (),
    blocked_by: Iterable[Block] | None = (),
    mutes: Iterable[Mute] = (),
    merged: Collection[int] = frozenset(),
    now_ms: int = 0,
) -> Relations:
    """What the rules need, out of all rows of a viewer, those removed in the last 8 days included.

    `blocked_by` None: too many to carry.  `merged`: the authors whose lists readers merge now.  Mutes that have ended
    are left out, but like every row they count for the version.
    """
    edges, blocks, mutes = tuple(edges), tuple(blocks), tuple(mutes)
    blockers = None if blocked_by is None else tuple(blocked_by)
    versions = [row.version_us for rows in (edges, blocks, blockers or (), mutes) for row in rows]
    return Relations(
        version=max(versions, default=0),
        unfollowed=frozenset(edge.followee_id for edge in edges if not edge.on),
        blocked=frozenset(block.blocked_id for block in blocks if block.on),
        muted={mute.muted_id: mute.until_ms for mute in mutes if mute.stands(now_ms)},
        pull=followees_of(edges).intersection(merged),
        blocked_by=None if blockers is None else frozenset(block.blocker_id for block in blockers if block.on),
    )


def followees_of(edges: Iterable[Edge]) -> frozenset[int]:
    return frozenset(edge.followee_id for edge in edges if edge.on)


async def load_relations(
    store: RelationRows, merged: Collection[int], user_id: int, now_ms: int
) -> tuple[Relations, tuple[Edge, ...]]:
    """The relations of a viewer and all edges they were made of, from four reads at a quorum begun together.

    `merged`: as in `relations_of`, of now.  To be kept with `keep_relations` over what was seen before (R2).
    Raises StoreUnavailable.
    """
    edges, blocks, blockers, mutes = await asyncio.gather(
        store.following(user_id),
        store.blocks(user_id),
        store.blocked_by(user_id, BLOCKERS_CARRIED + 1),
        store.mutes(user_id),
    )
    carried = blockers if len(blockers) <= BLOCKERS_CARRIED else None
    return relations_of(edges, blocks, carried, mutes, merged, now_ms), edges


async def keep_relations(cache: Lists, user_id: int, seen: RelationsRead, relations: Relations) -> None:
    """Stores them over exactly what was seen before the truth was read (R2); best effort."""
    try:
        await cache.store_relations(user_id, seen, relations)
    except CacheUnavailable:
        return  # the next read loads them again
