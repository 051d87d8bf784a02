"""Blocks, mutes and requests of the simple store: one copy, at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rookery_server.domain.events import Event
from rookery_server.domain.models import Block, FollowRequest, Mute
from rookery_server.store.interface import FollowRequestsPage

Row = TypeVar("Row", Block, Mute, FollowRequest)


def put(table: dict[int, Row], key: int, row: Row) -> None:
    """As every table of edges: the later version stands, a removal of the same version too."""
    old = table.get(key)
    if old is None or row.version_us > old.version_us:
        table[key] = row


class SimpleRelations:
    log: dict[int, Event]
    after: dict[str, Callable[[], Any]]

    def __init__(self) -> None:
        self.blocks_of: dict[int, dict[int, Block]] = defaultdict(dict)
        self.blockers_of: dict[int, dict[int, Block]] = defaultdict(dict)
        self.mutes_of: dict[int, dict[int, Mute]] = defaultdict(dict)
        self.asked: dict[int, dict[int, FollowRequest]] = defaultdict(dict)
        """Requests by whom they are put to."""

    async def _begin(self, name: str) -> None:
        raise NotImplementedError

    async def _hook(self, hooks: dict[str, Callable[[], Any]], name: str) -> None:
        raise NotImplementedError

    async def block(self, blocker_id: int, blocked_id: int) -> Block | None:
        await self._begin("block")
        return self.blocks_of[blocker_id].get(blocked_id)

    async def blocks(self, blocker_id: int) -> tuple[Block, ...]:
        await self._begin("blocks")
        return tuple(self.blocks_of[blocker_id].values())

    async def blocked_by(self, blocked_id: int, limit: int) -> tuple[Block, ...]:
        await self._begin("blocked_by")
        return tuple(block for _, block in sorted(self.blockers_of[blocked_id].items()))[:limit]

    async def blockers_among(self, blocked_id: int, candidates: Sequence[int]) -> frozenset[int]:
        await self._begin("blockers_among")
        blockers = self.blockers_of[blocked_id]
        return frozenset(id_ for id_ in candidates if id_ in blockers and blockers[id_].on)

    async def write_block(self, block: Block, event: Event) -> None:
        await self._begin("write_block")
        put(self.blocks_of[block.blocker_id], block.blocked_id, block)
        put(self.blockers_of[block.blocked_id], block.blocker_id, block)
        self.log[event.id] = event
        await self._hook(self.after, "write_block")

    async def mute(self, muter_id: int, muted_id: int) -> Mute | None:
        await self._begin("mute")
        return self.mutes_of[muter_id].get(muted_id)

    async def mutes(self, muter_id: int) -> tuple[Mute, ...]:
        await self._begin("mutes")
        return tuple(self.mutes_of[muter_id].values())

    async def write_mute(self, mute: Mute, event: Event) -> None:
        await self._begin("write_mute")
        put(self.mutes_of[mute.muter_id], mute.muted_id, mute)
        self.log[event.id] = event
        await self._hook(self.after, "write_mute")

    async def follow_request(self, target_id: int, requester_id: int) -> FollowRequest | None:
        await self._begin("follow_request")
        return self.asked[target_id].get(requester_id)

    async def follow_requests(self, target_id: int, after: int | None, limit: int) -> FollowRequestsPage:
        await self._begin("follow_requests")
        live = [row for id_, row in sorted(self.asked[target_id].items()) if row.on and id_ > (after or 0)]
        page = tuple(live[:limit])
        return FollowRequestsPage(page, page[-1].requester_id if len(live) > limit else None)

    async def write_follow_request(self, request: FollowRequest) -> None:
        await self._begin("write_follow_request")
        put(self.asked[request.target_id], request.requester_id, request)
        await self._hook(self.after, "write_follow_request")
