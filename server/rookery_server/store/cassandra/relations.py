"""`blocks`, the truth, and `blocked_by`, its mirror; `mutes`; `follow_requests`."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain import limits
from rookery_server.domain.events import Event
from rookery_server.domain.models import Block, FollowRequest, Mute
from rookery_server.store.cassandra.buckets import BLOCKER_SHARD
from rookery_server.store.cassandra.outbox import OutboxTables
from rookery_server.store.cassandra.session import Row, Values
from rookery_server.store.cassandra.statements import Statement, read, write
from rookery_server.store.cassandra.states import ON, state_and_life
from rookery_server.store.interface import FollowRequestsPage

BLOCK_GET = read("block_get", "SELECT state, version FROM blocks WHERE blocker_id = ? AND blocked_id = ?")
BLOCKS_PAGE = read(
    "blocks_page", "SELECT blocked_id, state, version FROM blocks WHERE blocker_id = ? AND blocked_id > ? LIMIT ?"
)
BLOCKED_BY_PAGE = read(
    "blocked_by_page",
    "SELECT blocker_id, state, version FROM blocked_by WHERE blocked_id = ? AND shard = ? AND blocker_id > ? LIMIT ?",
)
BLOCKERS_AMONG = read(
    "blockers_among",
    "SELECT blocker_id, state FROM blocked_by WHERE blocked_id = ? AND shard = ? AND blocker_id IN ?",
)
BLOCK_PUT = write(
    "block_put",
    "INSERT INTO blocks (blocker_id, blocked_id, state, version) VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?",
)
BLOCKED_BY_PUT = write(
    "blocked_by_put",
    "INSERT INTO blocked_by (blocked_id, shard, blocker_id, state, version) VALUES (?, ?, ?, ?, ?)"
    " USING TIMESTAMP ? AND TTL ?",
)
MUTE_GET = read("mute_get", "SELECT state, version, until_ms FROM mutes WHERE muter_id = ? AND muted_id = ?")
MUTES_PAGE = read(
    "mutes_page", "SELECT muted_id, state, version, until_ms FROM mutes WHERE muter_id = ? AND muted_id > ? LIMIT ?"
)
MUTE_PUT = write(
    "mute_put",
    "INSERT INTO mutes (muter_id, muted_id, state, version, until_ms) VALUES (?, ?, ?, ?, ?)"
    " USING TIMESTAMP ? AND TTL ?",
)
REQUEST_GET = read(
    "follow_request_get", "SELECT state, version FROM follow_requests WHERE target_id = ? AND requester_id = ?"
)
REQUESTS_PAGE = read(
    "follow_requests_page",
    "SELECT requester_id, state, version FROM follow_requests WHERE target_id = ? AND requester_id > ? LIMIT ?",
)
REQUEST_PUT = write(
    "follow_request_put",
    "INSERT INTO follow_requests (target_id, requester_id, state, version) VALUES (?, ?, ?, ?)"
    " USING TIMESTAMP ? AND TTL ?",
)
STATEMENTS = (
    BLOCK_GET, BLOCKS_PAGE, BLOCKED_BY_PAGE, BLOCKERS_AMONG, BLOCK_PUT, BLOCKED_BY_PUT, MUTE_GET, MUTES_PAGE, MUTE_PUT,
    REQUEST_GET, REQUESTS_PAGE, REQUEST_PUT,
)  # fmt: skip

_AMONG_AT_ONCE = 400  # of one IN: whoever speaks in the tweets of the longest page


class RelationTables(OutboxTables):
    async def block(self, blocker_id: int, blocked_id: int) -> Block | None:
        rows = await self._session.execute(BLOCK_GET, (blocker_id, blocked_id))
        return Block(blocker_id, blocked_id, rows[0][0] == ON, rows[0][1]) if rows else None

    async def blocks(self, blocker_id: int) -> tuple[Block, ...]:
        rows = await self._whole(BLOCKS_PAGE, blocker_id)
        return tuple(Block(blocker_id, blocked, state == ON, version) for blocked, state, version in rows)

    async def blocked_by(self, blocked_id: int, limit: int) -> tuple[Block, ...]:
        rows = await self._session.execute(BLOCKED_BY_PAGE, (blocked_id, BLOCKER_SHARD, -1, limit)) if limit else []
        return tuple(Block(blocker, blocked_id, state == ON, version) for blocker, state, version in rows)

    async def blockers_among(self, blocked_id: int, candidates: Sequence[int]) -> frozenset[int]:
        unique = sorted(set(candidates))
        parts = [unique[at : at + _AMONG_AT_ONCE] for at in range(0, len(unique), _AMONG_AT_ONCE)]
        answers = await self._session.execute_many(
            BLOCKERS_AMONG, [(blocked_id, BLOCKER_SHARD, part) for part in parts]
        )
        return frozenset(blocker for rows in answers for blocker, state in rows if state == ON)

    async def write_block(self, block: Block, event: Event) -> None:
        state, life = state_and_life(block.on)
        truth = (block.blocker_id, block.blocked_id, state, block.version_us, block.version_us, life)
        await self._session.batch("block_batch", ((BLOCK_PUT, truth), _mirror(block), self.outbox_put(event)))

    async def repair_block(self, block: Block) -> None:
        await self._session.execute(*_mirror(block))

    async def mute(self, muter_id: int, muted_id: int) -> Mute | None:
        rows = await self._session.execute(MUTE_GET, (muter_id, muted_id))
        return _mute(muter_id, muted_id, *rows[0]) if rows else None

    async def mutes(self, muter_id: int) -> tuple[Mute, ...]:
        return tuple(_mute(muter_id, *row) for row in await self._whole(MUTES_PAGE, muter_id))

    async def write_mute(self, mute: Mute, event: Event) -> None:
        state, life = state_and_life(mute.on)
        row = (mute.muter_id, mute.muted_id, state, mute.version_us, mute.until_ms, mute.version_us, life)
        await self._session.batch("mute_batch", ((MUTE_PUT, row), self.outbox_put(event)))

    async def follow_request(self, target_id: int, requester_id: int) -> FollowRequest | None:
        rows = await self._session.execute(REQUEST_GET, (target_id, requester_id))
        return FollowRequest(target_id, requester_id, rows[0][0] == ON, rows[0][1]) if rows else None

    async def follow_requests(self, target_id: int, after: int | None, limit: int) -> FollowRequestsPage:
        above = -1 if after is None else after
        rows = await self._session.execute(REQUESTS_PAGE, (target_id, above, limit))
        live = (FollowRequest(target_id, id_, True, version) for id_, state, version in rows if state == ON)
        return FollowRequestsPage(tuple(live), rows[-1][0] if len(rows) == limit else None)

    async def write_follow_request(self, request: FollowRequest) -> None:
        state, life = state_and_life(request.on)
        row = (request.target_id, request.requester_id, state, request.version_us, request.version_us, life)
        await self._session.execute(REQUEST_PUT, row)

    async def _whole(self, page: Statement, whose: int) -> list[Row]:
        """All rows of a partition, by the id that comes first in each."""
        found: list[Row] = []
        while True:
            rows = await self._session.execute(page, (whose, found[-1][0] if found else -1, limits.ROWS_A_PAGE))
            found += rows
            if len(rows) < limits.ROWS_A_PAGE:
                return found


def _mirror(block: Block) -> tuple[Statement, Values]:
    state, life = state_and_life(block.on)
    return BLOCKED_BY_PUT, (
        block.blocked_id, BLOCKER_SHARD, block.blocker_id, state, block.version_us, block.version_us, life,
    )  # fmt: skip


def _mute(muter_id: int, muted_id: int, state: int, version_us: int, until_ms: int) -> Mute:
    return Mute(muter_id, muted_id, state == ON, version_us, until_ms)
