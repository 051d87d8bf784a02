"""What changed relations ask for.  Rules D3, D9 and D16 to D18 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol, TypeVar

from rookery_server.cache.interface import Deliveries
from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import Event
from rookery_server.domain.models import Block, Edge, Mute, standing_block
from rookery_server.store.interface import GraphStore, RelationStore
from rookery_server.workers.fleet import Fleet

Row = TypeVar("Row", Edge, Block, Mute)


class RowNotReadable(Exception):
    """The event is in the log and its row is not yet at a quorum: the batch is still under way."""


class Graph(GraphStore, RelationStore, Protocol):
    """What is read and repaired here."""


class RelationApplier:
    """Each method is done when it returns and may be called again at any time.  Raises RowNotReadable and
    StoreUnavailable."""

    def __init__(self, store: Graph, cache: Deliveries, fleet: Fleet, clock: Clock) -> None:
        self._store, self._cache, self._fleet, self._clock = store, cache, fleet, clock
        self._begun: dict[tuple[int, int], Edge] = {}
        """Cuts whose outcome nobody knows: each is finished, whatever became of its block meanwhile."""

    async def edge(self, event: Event) -> None:
        """FOLLOW and UNFOLLOW."""
        await self._finish_cuts(event)
        edge = self._current(event, await self._store.edge(event.subject, event.target))
        if edge is not None:
            block = await self._block_between(edge) if edge.on else None
            if block is not None:
                await self._cut(edge, block)
            else:
                await self._store.repair_mirror(edge)
        await self._overwrite(event.subject, event.version, event.id)

    async def block(self, event: Event) -> None:
        """BLOCK and UNBLOCK."""
        await self._finish_cuts(event)
        block = self._current(event, await self._store.block(event.subject, event.target))
        if block is not None:
            await self._store.repair_block(block)
            if block.on:
                await self._cut_both(block)
                await self._end_requests(block)
        for user_id in (event.subject, event.target):
            await self._overwrite(user_id, event.version, event.id)

    async def mute(self, event: Event) -> None:
        self._current(event, await self._store.mute(event.subject, event.target))
        await self._overwrite(event.subject, event.version, event.id)

    async def _block_between(self, edge: Edge) -> Block | None:
        """The later one of those that stand between the two, either way."""
        pair = edge.follower_id, edge.followee_id
        found = await asyncio.gather(self._store.block(*pair), self._store.block(*reversed(pair)))
        return standing_block(block for block in found if block is not None)

    async def _cut_both(self, block: Block) -> None:
        for pair in ((block.blocker_id, block.blocked_id), (block.blocked_id, block.blocker_id)):
            edge = await self._store.edge(*pair)
            if edge is None:
                continue
            # Read after the edge: one that was made when the block was lifted already is not cut for it (E21).
            now = await self._store.block(block.blocker_id, block.blocked_id) if edge.on else None
            if now is not None and now.on:
                await self._cut(edge, now)
            else:
                # Perhaps cut half by an attempt of one that died since: no event would heal its mirror.
                await self._store.repair_mirror(edge)

    async def _end_requests(self, block: Block) -> None:
        """What the blocker's server did unless it died (E13): requests have no event of their own."""
        for pair in ((block.blocker_id, block.blocked_id), (block.blocked_id, block.blocker_id)):
            request = await self._store.follow_request(*pair)
            if request is None or not request.on:
                continue
            now = await self._store.block(block.blocker_id, block.blocked_id)
            if now is not None and now.on:
                # The version right above the request's own would say that it was approved (E19).
                ended = replace(request, on=False, version_us=request.version_us + 2)
                await self._store.write_follow_request(ended)

    async def _cut(self, edge: Edge, block: Block) -> None:
        """Above both versions: neither the edge's batch, however late, nor a repeat of it can bring it back."""
        removed = edge.cut_by(block)
        self._begun[edge.follower_id, edge.followee_id] = removed
        await self._finish_cut(removed)

    async def _finish_cuts(self, event: Event) -> None:
        """Those of this pair that an earlier attempt began: one that commits late has no event that would see to it."""
        for pair in ((event.subject, event.target), (event.target, event.subject)):
            if (removed := self._begun.get(pair)) is not None:
                await self._finish_cut(removed)

    async def _finish_cut(self, removed: Edge) -> None:
        await self._store.cut_edge(removed)
        # In any case, since it has no event of its own; a cut edge is not cut again.
        await self._overwrite(removed.follower_id, removed.version_us, None)
        self._begun.pop((removed.follower_id, removed.followee_id), None)

    async def _overwrite(self, user_id: int, version: int, change: int | None) -> None:
        links = self._fleet.links()
        self._fleet.suspect((await self._cache.overwrite_relations(user_id, version, links, change)).behind, links)

    def _current(self, event: Event, row: Row | None) -> Row | None:
        """The row if it is the event's or a later one.  None once a removal has outlived its row."""
        if row is None and self._clock.now_ms() - ids.time_ms(event.id) > limits.REMOVED_EDGE_LIFE_S * 1000:
            return None
        if row is None or row.version_us < event.version:
            raise RowNotReadable
        return row
