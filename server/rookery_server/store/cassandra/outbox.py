"""`outbox`, `outbox_progress`, `outbox_dead`: the log of consequences and how far its readers have come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import (
    Event,
    Undecodable,
    decode,
    encode,
    shard_of,
    window_of,
    windows_between,
)  # fmt: skip
from rookery_server.store.cassandra import buckets
from rookery_server.store.cassandra.session import CassandraSession, Values
from rookery_server.store.cassandra.statements import Statement, compare_and_set, read, read_serial, write
from rookery_server.store.interface import DeadLetter, OutboxRow, Progress, WindowPrint

OUTBOX_PUT = write(
    "outbox_put", "INSERT INTO outbox (shard, window, event_id, event) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
OUTBOX_READ = read(
    "outbox_read",
    "SELECT event_id, event FROM outbox WHERE shard = ? AND window = ? AND event_id >= ? AND event_id < ? LIMIT ?",
)
PROGRESS_LOAD = read_serial(
    "progress_load",
    "SELECT window, fence, checkpoint_ms, event_count, event_xor, audits FROM outbox_progress"
    " WHERE reader = ? AND shard = ?",
)
PROGRESS_BEGIN = compare_and_set(
    "progress_begin",
    "INSERT INTO outbox_progress (reader, shard, fence, checkpoint_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS",
)
PROGRESS_MOVE = compare_and_set(
    "progress_move",
    "UPDATE outbox_progress SET fence = ?, checkpoint_ms = ? WHERE reader = ? AND shard = ? IF fence <= ?",
)
PROGRESS_PRINT = compare_and_set(  # only ever beside one of the two above, in one batch on one partition
    "progress_print",
    "INSERT INTO outbox_progress (reader, shard, window, event_count, event_xor, audits) VALUES (?, ?, ?, ?, ?, ?)"
    " USING TTL ?",
)
DEAD_PUT = write(
    "dead_put",
    "INSERT INTO outbox_dead (reader, day, event_id, shard, event, error) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
)
DEAD_READ = read(
    "dead_read",
    "SELECT shard, event_id, event, error FROM outbox_dead WHERE reader = ? AND day = ? AND event_id >= ? LIMIT ?",
)
STATEMENTS = (
    OUTBOX_PUT, OUTBOX_READ, PROGRESS_LOAD, PROGRESS_BEGIN, PROGRESS_MOVE, PROGRESS_PRINT, DEAD_PUT, DEAD_READ,
)  # fmt: skip

_PAGE = 5_000  # rows of ~50 bytes: a few milliseconds, far below the reply a node will build in memory
_PRINT_LIFE_S = 2 * 86_400  # the last audit of a window is a day after it closed


class OutboxTables:
    _session: CassandraSession
    _clock: Clock
    _shards: int

    @property
    def shards(self) -> int:
        return self._shards

    def outbox_put(self, event: Event) -> tuple[Statement, Values]:
        shard = shard_of(event.subject, self._shards)
        return OUTBOX_PUT, (
            shard, window_of(event.id), event.id, encode(event), ids.write_timestamp_us(event.id),
        )  # fmt: skip

    async def append(self, event: Event) -> None:
        await self._session.execute(*self.outbox_put(event))

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        if since_ms >= until_ms:
            return ()
        low, high = ids.first_at(since_ms), ids.first_at(until_ms)
        keys = [(shard, window, low, high, _PAGE) for window in windows_between(since_ms, until_ms - 1)]
        found: list[OutboxRow] = []
        for key, rows in zip(keys, await self._session.execute_many(OUTBOX_READ, keys), strict=True):
            while True:
                found.extend(_outbox_row(event_id, raw) for event_id, raw in rows)
                if len(rows) < _PAGE:
                    break
                rows = await self._session.execute(OUTBOX_READ, (*key[:2], rows[-1][0] + 1, high, _PAGE))
        return tuple(found)

    async def load_progress(self, reader: str, shard: int) -> Progress:
        rows: Any = await self._session.execute(PROGRESS_LOAD, (reader, shard))
        if not rows:
            return Progress(0, 0)
        prints = (
            WindowPrint(row["window"], row["event_count"], row["event_xor"], row["audits"])
            for row in rows
            if row["window"] is not None
        )
        return Progress(rows[0]["fence"] or 0, rows[0]["checkpoint_ms"] or 0, {p.window: p for p in prints})

    async def save_progress(
        self, reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
    ) -> bool:
        prints = [(PROGRESS_PRINT, (reader, shard, p.window, p.count, p.xor, p.audits, _PRINT_LIFE_S)) for p in windows]
        move = (PROGRESS_MOVE, (fence, checkpoint_ms, reader, shard, fence))
        if await self._session.compare_and_set_batch("progress_save", (move, *prints)):
            return True
        # Refused by a higher fence, or because there is no row yet: only the insert can tell the two apart.
        begin = (PROGRESS_BEGIN, (reader, shard, fence, checkpoint_ms))
        if await self._session.compare_and_set_batch("progress_begin", (begin, *prints)):
            return True
        # A row that another has just begun may carry a lower fence.
        return await self._session.compare_and_set_batch("progress_save", (move, *prints))

    async def bury(self, reader: str, letter: DeadLetter) -> None:
        # Filed by the id's own day, so that burying twice is burying once.
        day = buckets.day_of(ids.time_ms(letter.event_id))
        values = (reader, day, letter.event_id, letter.shard, letter.raw, letter.error)
        await self._session.execute(DEAD_PUT, (*values, ids.write_timestamp_us(letter.event_id)))

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        today = buckets.day_of(self._clock.now_ms())
        letters: list[DeadLetter] = []
        # Through tomorrow: ids may be a little ahead of this clock.
        for day in range(today - days + 1, today + 2):
            above = 0
            while True:
                rows = await self._session.execute(DEAD_READ, (reader, day, above, _PAGE))
                letters.extend(DeadLetter(*row) for row in rows)
                if len(rows) < _PAGE:
                    break
                above = rows[-1][1] + 1
        return tuple(letters)


def _outbox_row(event_id: int, raw: bytes) -> OutboxRow:
    try:
        return OutboxRow(event_id, raw, decode(raw))
    except Undecodable as error:
        return OutboxRow(event_id, raw, None, str(error))
