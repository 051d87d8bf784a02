"""One owned shard at work: its log, its lines, its marks and its recovery, tied together."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Deliveries, Link
from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.metrics import Metrics
from rookery_server.store.interface import DeadLetter, OutboxRow, OutboxStore, Progress
from rookery_server.workers import audits
from rookery_server.workers.apply import Applier, TooEarly, line_of
from rookery_server.workers.counts import ShardCounts
from rookery_server.workers.fanout import Stop, Stopped
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.lines import Lines
from rookery_server.workers.log_reader import ShardLog
from rookery_server.workers.recovery import Recovery
from rookery_server.workers.relations import RowNotReadable
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.watermark import ShardMarks

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


def _nothing() -> None:
    """Nobody waits for this one."""


@dataclass(slots=True)
class _Waiting:
    """One event that was opened and has not begun."""

    in_place: bool
    told: list[Callable[[], None]]
    """Who is told when it is applied."""


@dataclass(frozen=True, slots=True)
class _Orders:
    """For what is at work in one line: to stop with the shard, and to make way for the event behind it."""

    stop: Stop
    waiting: Mapping[int, object]
    line: int

    def check(self) -> None:
        self.stop.check()

    def hurried(self) -> bool:
        return self.line in self.waiting


class ShardAtWork:
    """Everything of one shard under one fence.  Thrown away when the lease is lost or given back."""

    def __init__(
        self,
        shard: int,
        fence: int,
        progress: Progress,
        store: OutboxStore,
        cache: Deliveries,
        fleet: Fleet,
        applier: Applier,
        counts: ShardCounts,
        clock: Clock,
        settings: WorkerSettings,
        metrics: Metrics,
        sleep: Sleep,
    ) -> None:
        self.shard, self._store, self._applier, self.counts, self._clock = shard, store, applier, counts, clock
        self._settings, self._metrics, self._sleep = settings, metrics, sleep
        self._log = ShardLog(store, clock, settings, shard, fence, progress)
        self.marks = ShardMarks(shard, fleet, clock, settings.give_up_on_node_s, metrics)
        self._recovery = Recovery(
            cache, fleet, self.marks, self._log, clock, settings, metrics, self._submit_row, self._submit_again
        )
        self._lines, self._stop = Lines(), Stop()
        self._unbegun: dict[int, dict[int, _Waiting]] = {}
        """By line, and then by event."""
        self._stubbed: deque[tuple[float, int]] = deque()
        """Changes of accounts applied within the life of an own copy: when, and the event."""
        self._recovering: asyncio.Task[None] | None = None
        self._recover_after, self._recover_pause_s = clock.monotonic(), 0.0
        self._recovered_over: Mapping[str, Link] = {}
        """A new link is a new chance, whatever the last recovery came to."""

    # --- taking up ----------------------------------------------------------------------------------------------

    async def poll(self, start_ms: int) -> None:
        """One look at the log; a store that does not answer makes it as if it had not been."""
        if len(self._log.open) > self._settings.open_events_max:
            return
        try:
            rows = await self._log.poll(start_ms, self.marks.lowest())
        except StoreUnavailable as error:
            log.warning("shard %d not polled: %s", self.shard, error)
            return
        for row in rows:
            if row.event is not None:
                self._metrics.outbox_rings("missed").inc()
            self._take_up(row, in_place=False, done=_nothing)

    def hear(self, event: Event) -> None:
        """The bell: the event itself, before a poll finds it.  A shard that is full leaves it to the poll."""
        full = len(self._log.open) > self._settings.open_events_max
        if not full and not self._stop.asked and self._log.rung(event):
            self._metrics.outbox_rings("heard").inc()
            self._submit(event, in_place=False, done=_nothing)

    def _submit_row(self, row: OutboxRow, done: Callable[[], None]) -> None:
        """For a recovery: opened if never seen, applied once more if it has begun (and not printed a second time)."""
        if not self._log.passed(row.event_id) and self._log.begin(row.event_id, row.event):
            self._take_up(row, in_place=True, done=done)
        elif row.event is None:
            done()
        else:
            self._submit_again(row.event, done)

    def _submit_again(self, event: Event, done: Callable[[], None]) -> None:
        """What was opened and has not begun is applied behind everything the recovery has read: once is enough (C5).
        In place, since whoever had the shard before may have pushed it just now.  W waits for it as for all that is
        open; the recovery waits as well, so that its end says that all it read is applied."""
        line = line_of(event)
        if (waiting := self._unbegun.get(line, {}).get(event.id)) is not None:
            waiting.in_place = True
            waiting.told.append(done)
        else:
            self._lines.submit(line, lambda: self._work(event, in_place=True, done=done, again=True, opened=False))

    def _submit(self, event: Event, *, in_place: bool, done: Callable[[], None], again: bool = False) -> None:
        """For an event just opened."""
        line = line_of(event)
        self._unbegun.setdefault(line, {})[event.id] = _Waiting(in_place, [done])
        self._lines.submit(line, lambda: self._begin(event, again))

    async def _begin(self, event: Event, again: bool) -> None:
        line = line_of(event)
        waiting = self._unbegun[line].pop(event.id)
        if not self._unbegun[line]:
            del self._unbegun[line]

        def done() -> None:
            for tell in waiting.told:
                tell()

        await self._work(event, in_place=waiting.in_place, done=done, again=again)

    def _take_up(self, row: OutboxRow, *, in_place: bool, done: Callable[[], None], again: bool = False) -> None:
        """For a row just opened."""
        event = row.event
        if event is None:
            self._lines.submit(row.event_id, lambda: self._bury(row, done))
        else:
            self._submit(event, in_place=in_place, done=done, again=again)

    # --- working ------------------------------------------------------------------------------------------------

    async def _work(
        self, event: Event, *, in_place: bool, done: Callable[[], None], again: bool = False, opened: bool = True
    ) -> None:
        """Applies one event, trying for ever if need be, and then finishes it, if it was opened for this."""
        orders = _Orders(self._stop, self._unbegun, line_of(event))

        async def attempt(first: bool) -> None:
            await self._applier.apply(event, in_place=in_place or not first, again=again, orders=orders)

        if await self._until_done(event.id, attempt):
            if event.kind is EventKind.ACCOUNT:
                self._stubbed.append((self._clock.monotonic(), event.id))
            if opened:
                self.counts.applied(event)
                self._log.finish(event.id, self.marks.highest())
            done()

    async def _bury(self, row: OutboxRow, done: Callable[[], None]) -> None:
        letter = DeadLetter(self.shard, row.event_id, row.raw, row.error)

        async def attempt(first: bool) -> None:
            await self._store.bury(self._settings.reader, letter)

        if await self._until_done(row.event_id, attempt):
            log.error(
                "event %d of shard %d cannot be decoded and holds every claim: %s", row.event_id, self.shard, row.error
            )
            self._metrics.outbox_dead().inc()
            self._log.hold(row.event_id)
            done()

    @property
    def holds_dead(self) -> bool:
        """Whether W waits for an event that nobody works at (D10)."""
        return bool(self._log.held)

    def release(self, event_ids: Collection[int]) -> None:
        """Those of these that are dead hold W no longer."""
        for event_id in self._log.held.intersection(event_ids):
            self._log.release(event_id, self.marks.highest())
            log.warning("event %d of shard %d was released", event_id, self.shard)

    async def _until_done(self, event_id: int, attempt: Callable[[bool], Awaitable[None]]) -> bool:
        """Repeats until it succeeds; False when the shard is being given back."""
        pause, first, alarmed = self._settings.retry_first_s, True, False
        while not self._stop.asked:
            try:
                await attempt(first)
                return True
            except Stopped:
                return False
            except TooEarly as early:
                await self._pause(early.wait_s)
                continue
            except RowNotReadable:
                waited = (self._clock.now_ms() - ids.time_ms(event_id)) / 1000
                if waited > self._settings.row_alarm_s and not alarmed:
                    alarmed = True
                    log.error("event %d of shard %d: its row is unreadable for %d s", event_id, self.shard, waited)
            except (StoreUnavailable, CacheUnavailable) as error:
                log.info("event %d of shard %d waits: %s", event_id, self.shard, error)
            except Exception:
                # A bug of ours: the event must not be lost for it, and holding W makes it visible.
                log.exception("event %d of shard %d failed", event_id, self.shard)
            first = False
            await self._pause(pause)
            pause = min(pause * 2, self._settings.retry_most_s)
        return False

    async def _pause(self, seconds: float) -> None:
        """In short steps, so that a hand-over does not wait for a back-off."""
        until = self._clock.monotonic() + seconds
        while not self._stop.asked and (left := until - self._clock.monotonic()) > 0:
            await self._sleep(min(left, 0.2))

    # --- looking after ------------------------------------------------------------------------------------------

    def target_ms(self) -> int:
        """The W to come: below what is open, and below accounts that servers may still hold own copies of, from before
        their stub (D19)."""
        old = self._clock.monotonic() - limits.COPY_WAIT_S
        while self._stubbed and self._stubbed[0][0] <= old:
            self._stubbed.popleft()
        return min([self._log.settled_ms(), *(ids.time_ms(event_id) - 1 for _, event_id in self._stubbed)])

    def recover(self) -> None:
        """Begins a recovery if a node needs one, none is under way and the last one was not just now in vain: a node
        that refuses what it is sent would have everything since its W applied again each second."""
        if self._recovering is not None and self._recovering.done():
            self._recovering = None
            self._rest_after_recovery()
        due = self._clock.monotonic() >= self._recover_after or self.marks.links() != self._recovered_over
        if due and self._recovering is None and not self._stop.asked and self.marks.behind():
            self._recovered_over = self.marks.links()
            self._recovering = asyncio.create_task(self._recover())

    def _rest_after_recovery(self) -> None:
        in_vain = bool(self.marks.behind())
        doubled = max(self._settings.poll_every_s, 2 * self._recover_pause_s)
        self._recover_pause_s = min(doubled, self._settings.recover_most_s) if in_vain else 0.0
        self._recover_after = self._clock.monotonic() + self._recover_pause_s

    async def _recover(self) -> None:
        try:
            await self._recovery.run()
        except (StoreUnavailable, CacheUnavailable) as error:
            log.info("recovery of shard %d waits: %s", self.shard, error)
        except Exception:
            # A bug of ours: W stays where it is, and the next look begins anew.
            log.exception("recovery of shard %d failed", self.shard)

    async def audit(self) -> None:
        """Audits the windows that are due; what is missing is opened and applied in place."""
        for window, rounds in self._log.due():
            try:
                verdict, rows = await self._log.audit(window, rounds)
            except StoreUnavailable:
                return
            age = audits.AGES[min(rounds, len(audits.AGES)) - 1]
            self._metrics.outbox_audits(age, "equal" if verdict.equal else "different").inc()
            if not verdict.equal:
                log.warning("shard %d window %d: %d events to apply again", self.shard, window, len(rows))
            for row in rows:
                self._take_up(row, in_place=True, done=_nothing, again=True)

    async def save(self) -> bool:
        """False: a higher fence has written.  First what is still to be counted: what a print knows no audit finds."""
        self._log.move_checkpoint(self.marks.written())
        try:
            return await self.counts.save(self._log.checkpoint_ms) and await self._log.save()
        except StoreUnavailable:
            return True

    def report(self) -> int:
        """Sets this shard's gauges; how many events are open."""
        oldest = self._log.oldest_open_ms()
        age_s = 0.0 if oldest is None else max(0.0, (self._clock.now_ms() - oldest) / 1000)
        self._metrics.outbox_oldest_pending(str(self.shard)).set(age_s)
        self.marks.report()
        return len(self._log.open)

    async def finish_in_hand(self) -> None:
        """Stops taking up, lets the pages in hand end.  What is left stays open, and W below it."""
        self._stop.asked = True
        await self._end_recovery()
        await self._lines.stop()

    async def abandon(self) -> None:
        """The lease is lost: everything ends where it stands."""
        self._stop.asked = True
        await self._end_recovery()
        await self._lines.cancel()

    async def _end_recovery(self) -> None:
        tasks: Iterable[asyncio.Task[None]] = [self._recovering] if self._recovering else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
