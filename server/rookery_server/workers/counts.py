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
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.tiering import Tiering

log = logging.getLogger(__name__)

SAVED_BEHIND_MS = 60_000
"""The position is saved when it has moved so far: a successor reads a minute of log more, and a calm shard writes once
a minute."""
FIRST_LOOK_MS = 3_600_000
"""How much of the log is counted where nobody counted before: servers may have been started before their workers."""
WINDOWS_AT_ONCE = 30
"""Of a predecessor's log read in one step."""
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
    waiting: list[Callable[[], None]] = field(default_factory=list)
    """Told when the part was counted."""


class Recounts:
    """Of a whole process: what many events touched is counted once, not before its pause is over."""

    def __init__(
        self, store: CountStore, clock: Clock, tiering: Tiering, settings: WorkerSettings, metrics: Metrics
    ) -> None:
        self._store, self._clock, self._tiering, self._metrics = store, clock, tiering, metrics
        self._first_s, self._most_s = settings.count_after_s, settings.count_within_s
        self._dirty: dict[Part, _Dirty] = {}
        self._due: list[tuple[float, int, Part]] = []
        """A heap, one entry for each dirty part."""
        self._order = 0
        self._resting: dict[Part, float] = {}
        """Counted lately: not again before that time."""
        self._counting: set[Part] = set()

    def mark(self, part: Part, counted: Callable[[], None]) -> None:
        """Has the part counted after this, and `counted` called then."""
        now = self._clock.monotonic()
        dirty = self._dirty.get(part)
        if dirty is None:
            dirty = self._dirty[part] = _Dirty(now)
            self._file(part, max(now + self._first_s, self._resting.get(part, now)))
        dirty.waiting.append(counted)

    def _file(self, part: Part, due: float) -> None:
        self._order += 1
        heapq.heappush(self._due, (due, self._order, part))

    async def step(self) -> None:
        """Counts what is due, one after another; several may do so at once.  What fails is due again later."""
        while (part := self._next()) is not None:
            self._counting.add(part)
            try:
                await self._count(part, self._dirty.pop(part))
            finally:
                self._counting.discard(part)

    def _next(self) -> Part | None:
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            part = heapq.heappop(self._due)[2]
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
            self._file(part, self._clock.monotonic() + self._first_s)
        else:
            dirty.waiting += newer.waiting
        self._dirty[part] = dirty

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

    def applied(self, event: Event) -> None:
        """To be called after it was applied, so that its rows are visible to whoever counts."""
        parts = parts_of(event, self._counts)
        if parts:
            self._uncounted[event.id] = self._uncounted.get(event.id, 0) + len(parts)
        for part in parts:
            self._recounts.mark(part, lambda: self._counted(event.id))

    def _counted(self, event_id: int) -> None:
        self._uncounted[event_id] -= 1
        if not self._uncounted[event_id]:
            del self._uncounted[event_id]

    async def catch_up(self) -> None:
        """Has counted what a predecessor applied and did not count, some windows in each call.  Raises
        StoreUnavailable."""
        for _ in range(WINDOWS_AT_ONCE):
            if self._behind_ms >= self._own_from_ms:
                return
            end_ms = min((self._behind_ms // WINDOW_MS + 1) * WINDOW_MS, self._own_from_ms)
            for row in await self._store.read(self._shard, self._behind_ms, end_ms):
                if row.event is not None:
                    self.applied(row.event)
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
        position = checkpoint_ms if self._behind_ms >= self._own_from_ms else min(checkpoint_ms, self._behind_ms)
        return min(position, ids.time_ms(min(self._uncounted))) if self._uncounted else position
