"""The only recovery there is: apply everything above the lowest W again, in place, to all nodes.

Rules C5 to C8 of docs/protocols/claim.md.  Taking over a shard, a broken connection, a failover, an empty restart and
a compare-and-set that failed all end here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container

from rookery_server.cache.interface import Deliveries, Marks
from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.events import WINDOW_MS, Event
from rookery_server.metrics import Metrics
from rookery_server.store.interface import OutboxRow
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.log_reader import READ_AHEAD_MS, ShardLog
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.watermark import ShardMarks

log = logging.getLogger(__name__)

IN_FLIGHT = 1_000
"""Events applied again at a time: bounds memory, and keeps the turns of live events short."""


class Latch:
    """Counts work handed out; `low` waits until at most so many are left."""

    def __init__(self) -> None:
        self._left = 0
        self._changed = asyncio.Event()

    def add(self) -> None:
        self._left += 1

    def done(self) -> None:
        self._left -= 1
        self._changed.set()

    async def low(self, most: int) -> None:
        while self._left > most:
            self._changed.clear()
            await self._changed.wait()


class Recovery:
    """For one shard.  `submit_row` and `submit_again` put work into the subject's line and call back when applied:
    the first opens a row unless it was seen, the second applies an event once more, or if it waits there already and
    has not begun, has it placed when its turn comes."""

    def __init__(
        self,
        cache: Deliveries,
        fleet: Fleet,
        marks: ShardMarks,
        shard_log: ShardLog,
        clock: Clock,
        settings: WorkerSettings,
        metrics: Metrics,
        submit_row: Callable[[OutboxRow, Callable[[], None]], None],
        submit_again: Callable[[Event, Callable[[], None]], None],
    ) -> None:
        self._cache, self._fleet, self._marks, self._log, self._clock = cache, fleet, marks, shard_log, clock
        self._give_up_ms, self._metrics = int(settings.give_up_on_node_s * 1000), metrics
        self._submit_row, self._submit_again = submit_row, submit_again
        self._first = True

    async def run(self) -> bool:
        """Brings every node that is behind and answers up to date; whether one was.  Raises StoreUnavailable and
        CacheUnavailable: to be tried again from the start."""
        nodes = self._marks.behind()
        read: dict[str, tuple[int, Marks]] = {}
        for node in nodes:
            era = self._fleet.era(node)
            try:
                read[node] = era, await self._read(node)
            except CacheUnavailable:
                self._fleet.suspect([node], self._fleet.links())
        for node in read:
            era, marks = read[node]
            read[node] = era, await self._flush_if_lost(node, marks, read)
        if not read:
            return False
        await self._again_from(min(self._marks.start_ms(marks) for _, marks in read.values()) - limits.REREAD_MS)
        for node, (era, marks) in read.items():
            if self._fleet.era(node) == era:
                self._marks.stand(node, era, marks)
        return True

    async def _read(self, node: str) -> Marks:
        link = self._fleet.links().get(node)
        if link is None:
            raise CacheUnavailable(f"no link to {node}")
        marks = await self._cache.read_node_marks(link)
        if not marks.known:
            if await self._cache.adopt_empty(link, self._clock.now_ms()):
                log.warning("cache node %s was empty and is adopted", node)
            marks = await self._cache.read_node_marks(link)
            if not marks.known:
                raise CacheUnavailable(f"{node} stays unknown")
        self._marks.note_read(node, marks)
        return marks

    async def _flush_if_lost(self, node: str, marks: Marks, read: dict[str, tuple[int, Marks]]) -> Marks:
        """A node more than an hour behind while another is not is emptied, once, by whoever comes first."""
        horizon = self._clock.now_ms() - self._give_up_ms
        others = [self._marks.start_ms(other) for name, (_, other) in read.items() if name != node]
        if self._marks.start_ms(marks) >= horizon or max([*others, *self._marks.written()], default=0) < horizon:
            return marks
        log.error("cache node %s is more than %d s behind and is emptied", node, self._give_up_ms // 1000)
        if await self._cache.adopt_empty(marks.link, self._clock.now_ms(), marks.flushed_ms):
            self._metrics.watermark_regressions(self._fleet.index(node), "flushed").inc()
        return await self._cache.read_node_marks(marks.link)

    async def _again_from(self, since_ms: int) -> None:
        """In order, window by window.  The first time also from the checkpoint, wherever W stands."""
        latch, owed = Latch(), {event.id: event for event in self._log.owed()}
        for event in owed.values():
            latch.add()
            self._submit_again(event, latch.done)
        if self._first and self._log.checkpoint_ms:
            since_ms = min(since_ms, self._log.checkpoint_ms)
        try:
            await self._again_between(since_ms, self._clock.now_ms() + READ_AHEAD_MS, owed, latch)
        except StoreUnavailable:
            # What was handed out is being tried still.  A recovery that begins anew before that is done hands it out
            # again, each second, for as long as the log cannot be read.
            await latch.low(0)
            raise
        await latch.low(0)
        self._first = False

    async def _again_between(self, since_ms: int, until_ms: int, owed: Container[int], latch: Latch) -> None:
        while since_ms < until_ms:
            end_ms = min((since_ms // WINDOW_MS + 1) * WINDOW_MS, until_ms)
            for row in await self._log.read(since_ms, end_ms):
                if row.event_id not in owed:
                    latch.add()
                    self._submit_row(row, latch.done)
            await latch.low(IN_FLIGHT)
            since_ms = end_ms
