"""What the caller and others are to each other.  All reads are the truth at a quorum."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import INNER_READS
from rookery_server.domain.models import Edge, FollowRequest
from rookery_server.services.bounded import each
from rookery_server.services.calls import Call
from rookery_server.store.interface import Store


@dataclass(frozen=True, slots=True)
class Relationship:
    """What the caller and `user_id` are to each other.  `muting`: now.  `requested`: the caller asks to follow them,
    `requested_by`: they ask to follow the caller; neither while there is an edge."""

    user_id: int
    following: bool = False
    followed_by: bool = False
    blocking: bool = False
    blocked_by: bool = False
    muting: bool = False
    requested: bool = False
    requested_by: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """What was read for one account alone."""

    followed_by: bool
    requested: bool
    requested_by: bool


async def relationships(store: Store, clock: Clock, call: Call, wanted: Sequence[int]) -> dict[int, Relationship]:
    """Of each of `wanted`, in their order; with an account that does not exist nothing is true.
    Raises StoreUnavailable."""
    me, now_ms = call.caller_id, clock.now_ms()
    outgoing, blocks, mutes, blockers = await asyncio.gather(
        store.edges(me, wanted), store.blocks(me), store.mutes(me), store.blockers_among(me, wanted)
    )
    following = frozenset(id_ for id_, edge in outgoing.items() if edge.on)
    blocking = frozenset(block.blocked_id for block in blocks if block.on)
    muting = frozenset(mute.muted_id for mute in mutes if mute.stands(now_ms))
    pairs: dict[int, _Pair] = {}

    async def look(user_id: int) -> None:
        # The truth of an edge is in its follower's partition, that of a request in its target's: reads of their own.
        followed_by = _on(await store.edge(user_id, me))
        asked = user_id not in following and _on(await store.follow_request(user_id, me))
        asked_by = not followed_by and _on(await store.follow_request(me, user_id))
        pairs[user_id] = _Pair(followed_by, asked, asked_by)

    await each(wanted, INNER_READS, look)
    return {
        id_: Relationship(
            id_,
            following=id_ in following,
            followed_by=pairs[id_].followed_by,
            blocking=id_ in blocking,
            blocked_by=id_ in blockers,
            muting=id_ in muting,
            requested=pairs[id_].requested,
            requested_by=pairs[id_].requested_by,
        )
        for id_ in wanted
    }


def _on(row: Edge | FollowRequest | None) -> bool:
    return row is not None and row.on
