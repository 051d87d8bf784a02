"""One edge, as it is written, whoever asks for it: Follow, an approval, a block that cuts it.

Rules E1 to E7, E11 and E21 of docs/protocols/edge.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import FollowLimitReached, NotFound
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.limits import (
    EDGE_CERTAIN_AFTER_S,
    FOLLOWING_BASE,
    FOLLOWING_MAX,
    FOLLOWING_PER_FOLLOWER,
    ROWS_A_PAGE,
)
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute, standing_block
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.calls import Call
from rookery_server.services.following_counts import FollowingCounts
from rookery_server.services.tokens import after_all_ms, edge_token
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites, unknown_from_here
from rookery_server.store.interface import GraphStore, Store


@dataclass(frozen=True, slots=True)
class EdgeChanged:
    """What a change of an edge, a block, a mute or a request answers.

    `settled`: the cached relations and home lists of all concerned are proven to be overwritten.  `requested`: no edge
    yet, a protected account was asked.
    """

    settled: bool
    token: ConsistencyToken
    requested: bool = False


class Edges:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock, self._new_id = store, cache, clock, new_id
        self._writes, self._witness = writes, witness
        self._counts = FollowingCounts(store, clock)

    async def check_cap(self, follower_id: int) -> None:
        """Raises FollowLimitReached, StoreUnavailable."""
        await check_may_follow(self._store, follower_id, await self._counts.of(follower_id))

    async def add(
        self, call: Call, follower_id: int, followee_id: int, old: Edge | None, blocks: Iterable[Block]
    ) -> EdgeChanged:
        """A new edge over `old` and the block rows of the pair.  Raises NotFound (a block stands by now), IdsRefused,
        StoreUnavailable."""
        changed = await self.write(call, Edge(follower_id, followee_id, True, self._version(old, blocks)))
        self._counts.changed(follower_id, 1)
        return changed

    async def again(self, call: Call, edge: Edge, blocks: Sequence[Block]) -> EdgeChanged:
        """An edge that is on.  It may be there and the rest of its batch late: its event behind what pages claim, its
        stub never set.  So while it is young the same edge is written again, with an event of now (E5); if there is a
        trace of a block, at a new version, which nobody who still cuts for that block reaches (E21)."""
        if self.done(edge, blocks):
            return EdgeChanged(True, edge_token(edge.follower_id, edge.followee_id, self.after_all_ms()))
        if blocks:
            edge = replace(edge, version_us=self._version(edge, blocks))
        return await self.write(call, edge)

    def done(self, edge: Edge, blocks: Iterable[Block]) -> bool:
        """Whether nothing can come of the batch of an edge that is on, or of a block in its way, any more."""
        return self.certain(edge) and all(block.version_us < edge.version_us for block in blocks)

    def certain(self, row: Edge | Block | Mute | FollowRequest) -> bool:
        """Whether a row is so old that all its batch meant is done."""
        return self._clock.now_ms() - row.version_us // 1000 > EDGE_CERTAIN_AFTER_S * 1000

    def after_all_ms(self) -> int:
        """For the token of an answer that wrote nothing.  Raises IdsRefused."""
        return after_all_ms(self._new_id)

    async def remove(self, call: Call, edge: Edge) -> EdgeChanged:
        """Takes an edge that is on away."""
        changed = await self.write(call, replace(edge, on=False, version_us=self._version(edge)))
        self._counts.changed(edge.follower_id, -1)
        return changed

    async def keep_off(
        self, call: Call, follower_id: int, followee_id: int, old: Edge | None, ended_us: int
    ) -> EdgeChanged:
        """Writes that there is no edge, over one that is off or never was: an approval that ended unknown may still be
        on its way, and loses against this (E20).  At the version at which the request was ended: whoever follows
        meanwhile can read it there."""
        blocks = await self.blocks_between(follower_id, followee_id)
        version = max(ended_us, _above(old, blocks) + 1)
        return await self.write(call, Edge(follower_id, followee_id, False, version))

    async def insist(self, call: Call, follower_id: int, followee_id: int, ended_us: int) -> EdgeChanged:
        """The edge once more, above what whoever ended its request then may still write.  Raises as `add`."""
        old = await self._store.edge(follower_id, followee_id)
        least = max(ended_us, _above(old, await self.blocks_between(follower_id, followee_id)) + 1)
        version = ids.later_timestamp_us(self._new_id(), least)
        return await self.write(call, Edge(follower_id, followee_id, True, version))

    async def cut(self, call: Call, edge: Edge, block: Block) -> EdgeChanged:
        """Takes an edge away that is on under a block."""
        return await self.write(call, edge.cut_by(block))

    async def write(self, call: Call, edge: Edge) -> EdgeChanged:
        """The batch, the look at blocks, the stub.  Raises as `add`."""
        follower_id, followee_id = edge.follower_id, edge.followee_id
        kind = EventKind.FOLLOW if edge.on else EventKind.UNFOLLOW
        draft = Event(0, kind, follower_id, followee_id, edge.version_us)
        event = await self._writes.attempt(call, draft, lambda event: self._store.write_edge(edge, event))
        if edge.on:
            await self._unless_blocked(call, edge)
        settled = await self._cache.stub_relations(follower_id, edge.version_us, event.id)
        if not edge.on:
            self._witness.removal("unfollow", settled)
        self._cache.ring(events.shard_of(follower_id, self._store.shards), events.encode(event))
        return EdgeChanged(settled, edge_token(follower_id, followee_id, ids.time_ms(event.id)))

    async def _unless_blocked(self, call: Call, edge: Edge) -> None:
        """After the batch: an edge under a block is removed again by whoever made it (E11)."""
        with unknown_from_here():
            block = await self.block_between(edge.follower_id, edge.followee_id)
            if block is not None:
                await self.cut(call, edge, block)
        if block is not None:
            raise NotFound("no such user")

    async def block_between(self, one: int, other: int) -> Block | None:
        """The latest block that stands between the two, either way."""
        return standing_block(await self.blocks_between(one, other))

    async def blocks_between(self, one: int, other: int) -> tuple[Block, ...]:
        """The block rows of the two, either way, those lifted in the last 8 days included."""
        found = await asyncio.gather(self._store.block(one, other), self._store.block(other, one))
        return tuple(block for block in found if block is not None)

    def _version(self, old: Edge | None, blocks: Iterable[Block] = ()) -> int:
        """Above `old`, and above what anybody writes who cuts `old` for one of these blocks (E21)."""
        return max(ids.write_timestamp_us(self._new_id()), _above(old, blocks))


def _above(old: Edge | None, blocks: Iterable[Block] = ()) -> int:
    """The least version above `old`, and above what anybody writes who cuts `old` for one of these blocks."""
    rows = (old.version_us if old else 0, *(block.version_us for block in blocks))
    return max(rows) + 1 + (len(rows) > 1)


async def check_may_follow(store: GraphStore, follower_id: int, following: int) -> None:
    """Raises FollowLimitReached when one more than `following` is too many.  Followers are counted only above the
    base, and only as far as the answer needs."""
    if following < FOLLOWING_BASE:
        return
    if following >= FOLLOWING_MAX or not await _has_followers(
        store, follower_id, at_least=(following + 1) / FOLLOWING_PER_FOLLOWER
    ):
        raise FollowLimitReached("follows as many accounts as it may")


async def _has_followers(store: GraphStore, user_id: int, at_least: float) -> bool:
    seen, after = 0, None
    while seen < at_least:
        page = await store.followers(user_id, after, ROWS_A_PAGE)
        seen += len(page.follower_ids)
        after = page.next_after
        if after is None:
            break
    return seen >= at_least
