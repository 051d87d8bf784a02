"""What was applied, window by window, in a form that can be held against the log: count and XOR of event ids.

Rules D11 to D13 of docs/protocols/delivery.md.  Pure: the log reader does the reading and the saving.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rookery_server.domain import events, ids
from rookery_server.domain.events import WINDOW_MS
from rookery_server.store.interface import WindowPrint

AGES = ("30s", "5m", "4h", "24h")
"""Labels of the rounds, whatever times are configured for them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`missing`: the ids to apply again; empty when the window is as printed."""

    equal: bool
    missing: frozenset[int] = frozenset()


class Prints:
    """Prints of the windows below the checkpoint, and the ids applied that are not in a print yet."""

    def __init__(self, saved: Mapping[int, WindowPrint], checkpoint_ms: int, ages_s: Sequence[float]) -> None:
        self._ages_ms = [int(age * 1000) for age in ages_s]
        self._prints = dict(saved)
        self._waiting: dict[int, dict[int, int]] = {}
        """By window: event id → time before which it does not enter the print."""
        self._unsaved: set[int] = set()
        self._next_window = max([*self._prints, checkpoint_ms // WINDOW_MS - 1]) + 1
        """Windows below this one have a print."""

    def note(self, event_id: int, not_before_ms: int = 0) -> None:
        """Applied or dead.  It enters its print once the checkpoint is past it, and not before the time given."""
        self._waiting.setdefault(events.window_of(event_id), {})[event_id] = not_before_ms

    def absorb(self, checkpoint_ms: int, now_ms: int) -> None:
        """Takes into the prints what belongs there now, and begins a print for each window the checkpoint touches.

        Of a long absence only the windows that still have an audit before them are begun."""
        window = checkpoint_ms // WINDOW_MS
        oldest = (now_ms - self._ages_ms[-1]) // WINDOW_MS - 1
        for empty in range(max(self._next_window, oldest), window + 1):
            self._put(self._prints.get(empty) or WindowPrint(empty, 0, 0, 0))
        self._next_window = max(self._next_window, window + 1)
        for begun in [begun for begun in self._waiting if begun <= window]:
            waiting = self._waiting[begun]
            for event_id in [
                event_id
                for event_id, not_before_ms in waiting.items()
                if not_before_ms <= now_ms and ids.time_ms(event_id) < checkpoint_ms
            ]:
                del waiting[event_id]
                self._add(event_id)
            if not waiting:
                del self._waiting[begun]

    def _add(self, event_id: int) -> None:
        window = events.window_of(event_id)
        old = self._prints.get(window) or WindowPrint(window, 0, 0, 0)
        self._put(replace(old, count=old.count + 1, xor=old.xor ^ event_id))

    def _put(self, new: WindowPrint) -> None:
        self._prints[new.window] = new
        self._unsaved.add(new.window)

    def unsaved(self) -> list[WindowPrint]:
        return [self._prints[window] for window in sorted(self._unsaved)]

    def saved(self, prints: Sequence[WindowPrint]) -> None:
        """These were stored.  Windows with all audits behind them are forgotten then."""
        for one in prints:
            if self._prints.get(one.window) == one:
                self._unsaved.discard(one.window)
                if one.audits >= len(self._ages_ms):
                    del self._prints[one.window]

    def due(self, checkpoint_ms: int, now_ms: int, busy: Collection[int], most: int) -> list[tuple[int, int]]:
        """(window, round) to audit now, oldest first.  A window with events that are open (`busy` holds their ids) or
        not yet printed is left for later: what is known to be missing from the print proves nothing."""
        unready = {*self._waiting, *(events.window_of(event_id) for event_id in busy)}
        found: list[tuple[int, int]] = []
        for window in sorted(self._prints):
            end_ms = (window + 1) * WINDOW_MS
            rounds = sum(end_ms + age <= now_ms for age in self._ages_ms)
            if self._prints[window].audits < rounds and end_ms <= checkpoint_ms and window not in unready:
                found.append((window, rounds))
            if len(found) == most:
                break
        return found

    def judge(self, window: int, rounds: int, found: Collection[int]) -> Verdict:
        """Holds the ids `found` in the log against the print.

        One id more than printed is known by name from the XOR alone.  Any other difference has the whole window applied
        again, and its print begun anew."""
        known = self._prints[window]
        xor = 0
        for event_id in found:
            xor ^= event_id
        if (len(found), xor) == (known.count, known.xor):
            self._put(replace(known, audits=rounds))
            return Verdict(True)
        if len(found) == known.count + 1 and xor ^ known.xor in found:
            return Verdict(False, frozenset((xor ^ known.xor,)))
        self._put(replace(known, count=0, xor=0))
        return Verdict(False, frozenset(found))
