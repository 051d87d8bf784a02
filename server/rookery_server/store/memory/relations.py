"""Blocks and their mirror, mutes, follow requests."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.events import Event
from rookery_server.domain.models import Block, FollowRequest, Mute
from rookery_server.store.interface import FollowRequestsPage
from rookery_server.store.memory.cells import Cell, Mutation, Span
from rookery_server.store.memory.role import Role


class RelationsRole(Role):
    async def block(self, blocker_id: int, blocked_id: int) -> Block | None:
        cell = await self._row("block", "blocks", blocker_id, blocked_id)
        return None if cell is None else Block(blocker_id, blocked_id, cell.value, cell.timestamp_us)

    async def blocks(self, blocker_id: int) -> tuple[Block, ...]:
        rows = await self._rows("blocks", "blocks", blocker_id)
        return tuple(Block(blocker_id, id_, cell.value, cell.timestamp_us) for id_, cell in rows.items())

    async def blocked_by(self, blocked_id: int, limit: int) -> tuple[Block, ...]:
        rows = await self._rows("blocked_by", "blocked_by", blocked_id, Span(limit=limit))
        return tuple(Block(id_, blocked_id, cell.value, cell.timestamp_us) for id_, cell in rows.items())

    async def blockers_among(self, blocked_id: int, candidates: Sequence[int]) -> frozenset[int]:
        found = await self._each("blockers_among", "blocked_by", ((blocked_id, id_) for id_ in candidates))
        return frozenset(id_ for (_, id_), cell in found.items() if cell.value)

    async def write_block(self, block: Block, event: Event) -> None:
        cell = self._state(block.on, block.version_us)
        truth = Mutation("blocks", block.blocker_id, block.blocked_id, cell)
        await self._batch("write_block", [truth, _mirror(block, cell), self._event(event)])

    async def repair_block(self, block: Block) -> None:
        await self._batch("repair_block", [_mirror(block, self._state(block.on, block.version_us))])

    async def mute(self, muter_id: int, muted_id: int) -> Mute | None:
        cell = await self._row("mute", "mutes", muter_id, muted_id)
        return None if cell is None else _mute(muter_id, muted_id, cell)

    async def mutes(self, muter_id: int) -> tuple[Mute, ...]:
        rows = await self._rows("mutes", "mutes", muter_id)
        return tuple(_mute(muter_id, id_, cell) for id_, cell in rows.items())

    async def write_mute(self, mute: Mute, event: Event) -> None:
        cell = self._state(mute.on, mute.version_us, (mute.on, mute.until_ms))
        await self._batch("write_mute", [Mutation("mutes", mute.muter_id, mute.muted_id, cell), self._event(event)])

    async def follow_request(self, target_id: int, requester_id: int) -> FollowRequest | None:
        cell = await self._row("follow_request", "follow_requests", target_id, requester_id)
        return None if cell is None else FollowRequest(target_id, requester_id, cell.value, cell.timestamp_us)

    async def follow_requests(self, target_id: int, after: int | None, limit: int) -> FollowRequestsPage:
        rows = await self._rows("follow_requests", "follow_requests", target_id, Span(above=after, limit=limit))
        live = (FollowRequest(target_id, id_, True, cell.timestamp_us) for id_, cell in rows.items() if cell.value)
        return FollowRequestsPage(tuple(live), max(rows) if len(rows) == limit else None)

    async def write_follow_request(self, request: FollowRequest) -> None:
        cell = self._state(request.on, request.version_us)
        row = Mutation("follow_requests", request.target_id, request.requester_id, cell)
        await self._batch("write_follow_request", [row])


def _mirror(block: Block, cell: Cell) -> Mutation:
    return Mutation("blocked_by", block.blocked_id, block.blocker_id, cell)


def _mute(muter_id: int, muted_id: int, cell: Cell) -> Mute:
    on, until_ms = cell.value
    return Mute(muter_id, muted_id, on, cell.timestamp_us, until_ms)
