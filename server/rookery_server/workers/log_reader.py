"""One shard of the log as its reader knows it: what was seen, what is open, how far all is applied.

Rules D2, D10, D12 and D13 of docs/protocols/delivery.md, C2 and C6 of docs/protocols/claim.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from rookery_server.domain import events, ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import WINDOW_MS, Event
from rookery_server.store.interface import OutboxRow, OutboxStore, Progress
from rookery_server.workers.audits import Prints, Verdict
from rookery_server.workers.settings import WorkerSettings

REREAD_MOST_MS = 2 * limits.REREAD_MS
"""A poll never reads more of what it has read: while W is held for an hour that would be an hour of log each second."""
READ_AHEAD_MS = 2 * limits.CLOCK_BOUND_MS
"""Ids of processes whose clocks run ahead of ours, within the bound."""
LATE_KEPT_MS = 3_600_000
"""How long events applied late are remembered for recoveries: a node further behind is flushed."""


class ShardLog:
    """All state is in memory but the checkpoint and the prints, which `save` stores under the fence."""

    def __init__(
        self, store: OutboxStore, clock: Clock, settings: WorkerSettings, shard: int, fence: int, progress: Progress
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self.shard, self._fence = shard, fence
        self._inherited_ms = self.checkpoint_ms = progress.checkpoint_ms
        self._cursor_ms = clock.now_ms()
        self.open: dict[int, Event | None] = {}
        self.held: set[int] = set()
        """Dead, filed, and not released: W waits for them (D10)."""
        self.heard: dict[int, Event] = {}
        """Rung for and not yet read from the log."""
        self._late: deque[tuple[int, Event]] = deque()
        self._seen: dict[int, set[int]] = {}
        self._prints = Prints(progress.windows, progress.checkpoint_ms or clock.now_ms(), settings.audit_ages_s)

    # --- reading ------------------------------------------------------------------------------------------------

    async def poll(self, start_ms: int, lowest_ms: int | None) -> list[OutboxRow]:
        """Rows never seen before, now open.  `start_ms` is the time before the read; `lowest_ms` the lowest W written
        (None: none known).  Below the checkpoint it was taken over with, a recovery reads and audits find.
        Raises StoreUnavailable: then this poll never happened."""
        last = min(self._cursor_ms, start_ms)
        lowest = start_ms if lowest_ms is None else lowest_ms
        since = max(min(lowest, last) - limits.REREAD_MS, last - REREAD_MOST_MS)
        rows = await self._store.read(self.shard, max(since, self._inherited_ms), start_ms + READ_AHEAD_MS)
        new = [row for row in rows if self.begin(row.event_id, row.event)]
        for row in rows:
            self.heard.pop(row.event_id, None)
        self._cursor_ms = start_ms
        self._forget_below(start_ms - REREAD_MOST_MS - limits.REREAD_MS)
        return new

    async def read(self, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        """All rows of a stretch, whatever was seen."""
        return await self._store.read(self.shard, since_ms, until_ms)

    def passed(self, event_id: int) -> bool:
        """Below the checkpoint: applied and printed, by this worker or a predecessor, or else the audits' to find."""
        return ids.time_ms(event_id) < self.checkpoint_ms

    def rung(self, event: Event) -> bool:
        """Opens what the bell brings; not what polls have passed by: that is the audits' to find."""
        horizon = max(self._inherited_ms, self._clock.now_ms() - limits.REREAD_MS)
        if ids.time_ms(event.id) < horizon or not self.begin(event.id, event):
            return False
        self.heard[event.id] = event
        return True

    def begin(self, event_id: int, event: Event | None) -> bool:
        """Opens an event unless it was seen before; whether it was opened."""
        seen = self._seen.setdefault(events.window_of(event_id), set())
        if event_id in seen or event_id in self.open or event_id in self.held:
            return False
        seen.add(event_id)
        self.open[event_id] = event
        return True

    def _forget_below(self, time_ms: int) -> None:
        lowest = time_ms // WINDOW_MS
        for window in [window for window in self._seen if window < lowest]:
            del self._seen[window]
        for event_id in [event_id for event_id in self.heard if ids.time_ms(event_id) < time_ms]:
            del self.heard[event_id]

    # --- applied ------------------------------------------------------------------------------------------------

    def hold(self, event_id: int) -> None:
        """Dead: nobody works at it any more, and W stays below it until it is released."""
        del self.open[event_id]
        self.held.add(event_id)

    def release(self, event_id: int, highest_ms: int) -> None:
        """A person has seen to what a dead event concerned.  `highest_ms` as for `finish`."""
        self.held.remove(event_id)
        self.open[event_id] = None
        self.finish(event_id, highest_ms)

    def finish(self, event_id: int, highest_ms: int) -> None:
        """Applied.  `highest_ms`: the highest W written so far; an event below it is late (C6, D12)."""
        event, now = self.open.pop(event_id), self._clock.now_ms()
        late = ids.time_ms(event_id) <= highest_ms
        if late and event is not None:
            self._late.append((now, event))
        self._prints.note(event_id, now + int(self._settings.late_print_after_s * 1000) if late else 0)

    def owed(self) -> list[Event]:
        """Events a recovery applies again although its stretch of the log may not hold them: open, rung for, late."""
        horizon = self._clock.now_ms() - LATE_KEPT_MS
        while self._late and self._late[0][0] < horizon:
            self._late.popleft()
        known = [event for event in self.open.values() if event is not None]
        return [*known, *self.heard.values(), *(event for _, event in self._late)]

    def settled_ms(self) -> int:
        """The highest time W may say: five seconds before the last completed poll began, below all that is open."""
        bound, oldest = self._cursor_ms - limits.WATERMARK_LAG_MS, self.oldest_open_ms()
        return bound if oldest is None else min(bound, oldest - 1)

    def oldest_open_ms(self) -> int | None:
        """Of what W waits for, dead or not."""
        waiting = [min(of) for of in (self.open, self.held) if of]
        return ids.time_ms(min(waiting)) if waiting else None

    # --- audits and progress ------------------------------------------------------------------------------------

    async def audit(self, window: int, rounds: int) -> tuple[Verdict, list[OutboxRow]]:
        """Holds one window against its print; the rows to apply again, now open.  Raises StoreUnavailable."""
        rows = await self._store.read(self.shard, window * WINDOW_MS, (window + 1) * WINDOW_MS)
        verdict = self._prints.judge(window, rounds, {row.event_id for row in rows})
        return verdict, [row for row in rows if row.event_id in verdict.missing and self._reopen(row)]

    def _reopen(self, row: OutboxRow) -> bool:
        self._seen.get(events.window_of(row.event_id), set()).discard(row.event_id)
        return self.begin(row.event_id, row.event)

    def due(self) -> Sequence[tuple[int, int]]:
        busy: Collection[int] = {*self.open, *self.held} if self.held else self.open
        return self._prints.due(self.checkpoint_ms, self._clock.now_ms(), busy, self._settings.audits_at_once)

    def move_checkpoint(self, written: Collection[int]) -> None:
        """To the lowest W `written` − 5 s, never back; in memory."""
        if written:
            self.checkpoint_ms = max(self.checkpoint_ms, min(written) - limits.WATERMARK_LAG_MS)

    async def save(self) -> bool:
        """Stores the checkpoint and the prints below it.  False: a higher fence has written: the lease is lost.  Raises
        StoreUnavailable: to be tried again."""
        self._prints.absorb(self.checkpoint_ms, self._clock.now_ms())
        unsaved = self._prints.unsaved()
        saved = await self._store.save_progress(
            self._settings.reader, self.shard, self._fence, self.checkpoint_ms, unsaved
        )
        if saved:
            self._prints.saved(unsaved)
        return saved
