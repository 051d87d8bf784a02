"""Who blocks whom.  Rules E10 to E16 of docs/protocols/edge.md."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Block
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.follow_requests import FollowRequests
from rookery_server.services.newest_first import newest_first
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.tokens import block_token
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites, unknown_from_here
from rookery_server.store.interface import Store


@dataclass(frozen=True, slots=True)
class BlocksPage:
    """Newest first."""

    blocks: tuple[Block, ...]
    next_cursor: PageCursor | None


class Blocks:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        new_id: Callable[[], int],
        edges: Edges,
        requests: FollowRequests,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._new_id = store, cache, new_id
        self._edges, self._requests = edges, requests
        self._quotas, self._writes, self._witness = quotas, writes, witness

    async def block(self, call: Call, blocked_id: int) -> EdgeChanged:
        """Row first, then everything that must not stand under it.  Raises RateLimited, IdsRefused,
        StoreUnavailable."""
        old = await self._store.block(call.caller_id, blocked_id)
        if old is not None and old.on and self._edges.certain(old):
            return EdgeChanged(True, block_token(call.caller_id, blocked_id, self._edges.after_all_ms()))
        await self._quotas.charge(call, Quota.BLOCKS)
        block = old if old is not None and old.on else self._next(call, blocked_id, old, on=True)
        event = await self._write(call, block, EventKind.BLOCK)
        with unknown_from_here():
            event_ms = max([ids.time_ms(event.id), *await self._cut_edges(call, block)])
            await self._requests.end(block.blocker_id, block.blocked_id)
            await self._requests.end(block.blocked_id, block.blocker_id)
        settled = await self._stub(block, event.id)
        self._witness.removal("block", settled)
        return EdgeChanged(settled, block_token(call.caller_id, blocked_id, event_ms))

    async def unblock(self, call: Call, blocked_id: int) -> EdgeChanged:
        """OK also when there was nothing to lift.  Raises IdsRefused, StoreUnavailable."""
        old = await self._store.block(call.caller_id, blocked_id)
        if old is None:
            return EdgeChanged(True, block_token(call.caller_id, blocked_id, self._edges.after_all_ms()))
        if not old.on:
            # Nothing to write, but an earlier attempt may have died between its batch and its stubs (E14).
            settled = await self._stub(old)
            return EdgeChanged(settled, block_token(call.caller_id, blocked_id, self._edges.after_all_ms()))
        block = self._next(call, blocked_id, old, on=False)
        event = await self._write(call, block, EventKind.UNBLOCK)
        settled = await self._stub(block, event.id)
        return EdgeChanged(settled, block_token(call.caller_id, blocked_id, ids.time_ms(event.id)))

    def _next(self, call: Call, blocked_id: int, old: Block | None, on: bool) -> Block:
        version = ids.later_timestamp_us(self._new_id(), old.version_us if old else 0)
        return Block(call.caller_id, blocked_id, on, version)

    async def _write(self, call: Call, block: Block, kind: EventKind) -> Event:
        """The batch; its event."""
        draft = Event(0, kind, block.blocker_id, block.blocked_id, block.version_us)
        event = await self._writes.attempt(call, draft, lambda event: self._store.write_block(block, event))
        self._cache.ring(events.shard_of(block.blocker_id, self._store.shards), events.encode(event))
        return event

    async def _cut_edges(self, call: Call, block: Block) -> list[int]:
        """Reads both edges *after* the batch and removes what is on (E10), if the block still is (E21); the times of
        the events."""
        pairs = (block.blocker_id, block.blocked_id), (block.blocked_id, block.blocker_id)
        edges = await asyncio.gather(*(self._store.edge(*pair) for pair in pairs))
        standing = [edge for edge in edges if edge is not None and edge.on]
        now = await self._store.block(block.blocker_id, block.blocked_id) if standing else None
        if now is None or not now.on:
            return []
        return [(await self._edges.cut(call, edge, now)).token.event_ms for edge in standing]

    async def _stub(self, block: Block, change: int | None = None) -> bool:
        """Both (E15); whether that is proven.  `change`: the event of what was written now."""
        pair = block.blocker_id, block.blocked_id
        return all(await asyncio.gather(*(self._cache.stub_relations(id_, block.version_us, change) for id_ in pair)))

    async def list(self, call: Call, page_size: int, cursor: PageCursor | None) -> BlocksPage:
        """Whom the caller blocks.  Raises InvalidArgument, StoreUnavailable."""
        standing = [block for block in await self._store.blocks(call.caller_id) if block.on]
        return BlocksPage(*newest_first(standing, lambda block: block.blocked_id, page_size, cursor))
