"""What is to be counted anew, and when.  The rules: docs/protocols/count.md."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import WINDOW_MS, Event, EventKind
from rookery_server.metrics import Metrics
from rookery_server.services.counting import recount
from rookery_server.store.interface import CountKind, CountStore, OutboxStore
from rookery_server.workers.pace import Pace
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.tiering import Tiering

log = logging.getLogger(__name__)

SAVED_BEHIND_MS = 60_000
"""The position is saved when it has moved so far: a successor reads a minute of log more, and a calm shard writes once
a minute."""
FIRST_LOOK_MS = 3_600_000
"""How much of the log is counted where nobody counted before: servers may have been started before their workers."""
LATE_AT_ONCE = 5_000
"""Parts a predecessor left that may wait here: beyond that its log is not read on, so memory is bounded."""
REST, LATE_REST = 1.0, 4.0
"""How long a counter rests beside deliveries after each count, in lengths of that count: what was changed just now is
to be exact within a minute, what a predecessor left is not."""
JUDGED = CountKind.FOLLOWERS, CountKind.TWEETS
"""After these an author's tier is judged: other thresholds, and what a person had counted, take effect with a post."""


@dataclass(frozen=True, slots=True)
class Part:
    subject_id: int
    kind: CountKind
    part: int


def parts_of(event: Event, store: CountStore) -> list[Part]:
    """What the event may have changed (N1)."""
    match event.kind:
        case EventKind.POST | EventKind.DELETE:
            kinds = [(event.subject, CountKind.TWEETS, event.target)]
        case EventKind.FOLLOW | EventKind.UNFOLLOW:
            kinds = _pair(event.subject, event.target)
        case EventKind.BLOCK:
            kinds = _pair(event.subject, event.target) + _pair(event.target, event.subject)
        case EventKind.UNBLOCK | EventKind.MUTE | EventKind.ACCOUNT:
            kinds = []
    return [Part(subject, kind, part) for subject, kind, row in kinds for part in store.count_parts(kind, row)]


def _pair(follower: int, followee: int) -> list[tuple[int, CountKind, int]]:
    return [(follower, CountKind.FOLLOWING, followee), (followee, CountKind.FOLLOWERS, follower)]


@dataclass(slots=True)
class _Dirty:
    since: float
    late: bool
    """A predecessor left it, and nothing touched it since."""
    order: int = 0
    """Of its entry among those due; others are void."""
    waiting: list[Callable[[], None]] = field(default_factory=list)
    """Told when the part was counted."""


class Recounts:
    """Of a whole process: what many events touched is counted once, not before its pause is over."""

    def __init__(
        self,
        store: CountStore,
        clock: Clock,
        tiering: Tiering,
        settings: WorkerSettings,
        metrics: Metrics,
        pace: Pace,
    ) -> None:
        self._store, self._clock, self._tiering, self._metrics = store, clock, tiering, metrics
        self._pace = pace
        self._first_s, self._most_s = settings.count_after_s, settings.count_within_s
        self._dirty: dict[Part, _Dirty] = {}
        self._due: list[tuple[float, int, Part]] = []
        """A heap, one good entry for each dirty part that is not late."""
        self._late_due: list[tuple[float, int, Part]] = []
        """The same for those that are."""
        self._late, self._late_counting = 0, 0
        self._order = 0
        self._resting: dict[Part, float] = {}
        """Counted lately: not again before that time."""
        self._counting: set[Part] = set()

    @property
    def takes_late(self) -> bool:
        """Whether more of what a predecessor left may be marked now."""
        return self._late < LATE_AT_ONCE

    def mark(self, part: Part, counted: Callable[[], None], *, late: bool = False) -> None:
        """Has the part counted after this, and `counted` called then.  `late`: a predecessor left it."""
        now = self._clock.monotonic()
        dirty = self._dirty.get(part)
        if dirty is None:
            dirty = self._dirty[part] = _Dirty(now, late)
            self._late += late
            self._file(part, max(now + self._first_s, self._resting.get(part, now)))
        elif not late:
            self._hasten(part, dirty)
        dirty.waiting.append(counted)

    def _hasten(self, part: Part, dirty: _Dirty) -> None:
        """Late or not, from now on it is as if it had been touched now."""
        if dirty.late:
            now = self._clock.monotonic()
            self._late -= 1
            dirty.since, dirty.late = now, False
            self._file(part, max(now + self._first_s, self._resting.get(part, now)))

    def _file(self, part: Part, due: float) -> None:
        self._order += 1
        dirty = self._dirty[part]
        dirty.order = self._order
        heapq.heappush(self._late_due if dirty.late else self._due, (due, self._order, part))

    async def step(self) -> None:
        """Counts what is due, one after another; several may do so at once.  What fails is due again later.  Beside
        deliveries it rests after each, and of what is late only one is counted at a time (N10)."""
        while (part := self._next()) is not None:
            dirty, started = self._dirty.pop(part), self._clock.monotonic()
            late = dirty.late
            self._counting.add(part)
            self._late -= late
            self._late_counting += late
            try:
                await self._count(part, dirty)
                self._counting.discard(part)
                await self._pace.give_way(self._clock.monotonic() - started, LATE_REST if late else REST)
            finally:
                self._counting.discard(part)
                self._late_counting -= late

    def _next(self) -> Part | None:
        """Late ones only where nothing else is due."""
        part = self._first_of(self._due)
        if part is None and not (self._late_counting and self._pace.beside()):
            part = self._first_of(self._late_due)
        return part

    def _first_of(self, heap: list[tuple[float, int, Part]]) -> Part | None:
        now = self._clock.monotonic()
        while heap and heap[0][0] <= now:
            _, order, part = heapq.heappop(heap)
            dirty = self._dirty.get(part)
            if dirty is None or dirty.order != order:
                continue  # counted, or filed anew, since
            if part not in self._counting:
                return part
            self._file(part, now + self._first_s)  # once more after the count under way, which may have begun before
        return None

    async def _count(self, part: Part, dirty: _Dirty) -> None:
        pause_s = self._first_s
        try:
            totals = await recount(self._store, self._clock, part.subject_id, part.kind, part.part)
            pause_s = self._pause_s(totals[part.kind])
            if part.kind in JUDGED and CountKind.FOLLOWERS in totals:
                await self._tiering.judge(part.subject_id, totals[CountKind.FOLLOWERS])
        except StoreUnavailable as error:
            log.info("count of %s waits: %s", part, error)
            self._again(part, dirty)
        except Exception:
            # A bug of ours: the others are to be counted all the same, and the position stays where it is.
            log.exception("count of %s failed", part)
            self._again(part, dirty)
        else:
            self._metrics.recounts(part.kind.value, "stored").inc()
            self._resting[part] = self._clock.monotonic() + pause_s
            for counted in dirty.waiting:
                counted()

    def _pause_s(self, total: int) -> float:
        return min(self._most_s, max(self._first_s, total * limits.COUNT_PAUSE_PER_ROW_S))

    def _again(self, part: Part, dirty: _Dirty) -> None:
        self._metrics.recounts(part.kind.value, "failed").inc()
        newer = self._dirty.get(part)
        if newer is None:
            self._dirty[part] = dirty
            self._late += dirty.late
            self._file(part, self._clock.monotonic() + self._first_s)
        else:
            newer.waiting += dirty.waiting
            newer.since = min(newer.since, dirty.since)
            if not dirty.late:
                self._hasten(part, newer)

    def report(self) -> None:
        """Sets the gauges, and forgets whose rest is over."""
        now = self._clock.monotonic()
        self._resting = {part: until for part, until in self._resting.items() if until > now}
        self._metrics.recounts_waiting().set(len(self._dirty))
        oldest = min((dirty.since for dirty in self._dirty.values()), default=now)
        self._metrics.recounts_oldest().set(now - oldest)


class ShardCounts:
    """Which events of one shard are not counted yet, and so how far a successor must read again (N5 to N7)."""

    def __init__(
        self,
        store: OutboxStore,
        counts: CountStore,
        recounts: Recounts,
        settings: WorkerSettings,
        shard: int,
        fence: int,
        saved_ms: int,
        own_from_ms: int,
    ) -> None:
        """`saved_ms`: where the predecessor stood (0: nobody counted before); `own_from_ms`: from where on this worker
        applies the events itself."""
        self._store, self._counts, self._recounts, self._settings = store, counts, recounts, settings
        self._shard, self._fence = shard, fence
        self._saved_ms: int | None = saved_ms or None
        self._behind_ms, self._own_from_ms = saved_ms or own_from_ms - FIRST_LOOK_MS, own_from_ms
        self._uncounted: dict[int, int] = {}
        """Event id → its parts not counted yet."""

    def applied(self, event: Event, *, late: bool = False) -> None:
        """To be called after it was applied, so that its rows are visible to whoever counts.  `late`: by a
        predecessor."""
        parts = parts_of(event, self._counts)
        if parts:
            self._uncounted[event.id] = self._uncounted.get(event.id, 0) + len(parts)
        for part in parts:
            self._recounts.mark(part, lambda: self._counted(event.id), late=late)

    def _counted(self, event_id: int) -> None:
        self._uncounted[event_id] -= 1
        if not self._uncounted[event_id]:
            del self._uncounted[event_id]

    @property
    def behind(self) -> bool:
        """Whether a predecessor's log is still to be read."""
        return self._behind_ms < self._own_from_ms

    async def catch_up(self) -> None:
        """Has counted what a predecessor applied and did not count, a window in each call.  Raises StoreUnavailable."""
        end_ms = min((self._behind_ms // WINDOW_MS + 1) * WINDOW_MS, self._own_from_ms)
        for row in await self._store.read(self._shard, self._behind_ms, end_ms):
            if row.event is not None:
                self.applied(row.event, late=True)
        self._behind_ms = end_ms

    async def save(self, checkpoint_ms: int) -> bool:
        """Before the shard's own position is saved as `checkpoint_ms`, and the prints with it.  False: a higher fence
        has written.  Raises StoreUnavailable: then neither may be saved."""
        position_ms = self._position_ms(checkpoint_ms)
        saved = self._saved_ms
        if saved is not None and saved <= position_ms < saved + SAVED_BEHIND_MS:
            return True
        self._saved_ms = None  # whatever becomes of this attempt
        done = await self._store.save_progress(self._settings.counts_reader, self._shard, self._fence, position_ms, ())
        self._saved_ms = position_ms
        return done

    def _position_ms(self, checkpoint_ms: int) -> int:
        position = min(checkpoint_ms, self._behind_ms) if self.behind else checkpoint_ms
        return min(position, ids.time_ms(min(self._uncounted))) if self._uncounted else position
