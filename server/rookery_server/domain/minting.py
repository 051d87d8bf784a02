"""Minting ids: one generator for tweets, users, events and versions.  The rules: docs/protocols/lease.md.

That no id is ever minted twice rests on three numbers alone: the worker id, the ceiling no id passes, and the floor a
successor stays above.  Clocks decide only whether an id can be minted *now*.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import IdsRefused
from rookery_server.domain.leases import IdLease

_TOGETHER_S = 0.05
_LOOKS = 5
"""At two clocks, until both were read within that."""


class IdLeaseView(Protocol):
    """What a minter sees of its lease: `None` while none is held for certain."""

    def current(self) -> IdLease | None: ...

    def lose(self) -> None:
        """The clock jumped: the lease is not to be used or renewed any more."""
        ...


class ClockView(Protocol):
    @property
    def open(self) -> bool:
        """Whether this process's clock is known to agree with the coordinators'."""
        ...


class WallGuard:
    """Tells when the wall clock was set, by holding it against the monotonic one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = self.difference()
        self.jumps = 0
        """Jumps that a rebase found: a lease taken before one of them is lost."""

    def rebase(self) -> None:
        """From here on jumps are counted from now: called after the clock was compared with others', so that a slow
        drift never adds up to a jump."""
        now = self.difference()
        self.jumps += abs(now - self._base) > limits.WALL_JUMP_MS
        self._base = now

    def jumped(self, since: float | None = None) -> bool:
        """Since the last `rebase`, or since `difference` gave `since`."""
        return abs(self.difference() - (self._base if since is None else since)) > limits.WALL_JUMP_MS

    def difference(self) -> float:
        """Of the two clocks now, ms: it stays as it is until the wall clock is set.  They cannot be read at one moment:
        a process that is held up between the two reads again, since that would pass for a jump."""
        for _ in range(_LOOKS):
            before, wall_ms, after = self._clock.monotonic(), self._clock.now_ms(), self._clock.monotonic()
            if after - before < _TOGETHER_S:
                break
        return wall_ms - (before + after) / 2 * 1000


class IdMinter:
    """Mints within one event loop.  `pause` blocks, for milliseconds at most: the caller is about to write, and an id
    that is minted late is worth more than one refused.  `refused` is told the reason of each refusal."""

    def __init__(
        self,
        clock: Clock,
        lease: IdLeaseView,
        gate: ClockView,
        guard: WallGuard,
        *,
        pause: Callable[[float], None] = time.sleep,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._clock, self._lease, self._gate, self._guard = clock, lease, gate, guard
        self._pause, self._refused = pause, refused
        self._last_ms, self._sequence = 0, 0

    def mint(self) -> int:
        """A new id, higher than every id this process minted before.  Raises IdsRefused."""
        lease = self._lease.current()
        if lease is None:
            self._refuse("ceiling")
        if self._guard.jumped():
            self._lease.lose()
            self._refuse("clock")
        if not self._gate.open:
            self._refuse("clock")
        now = self._next_free_ms()
        if not lease.floor_ms < now <= lease.ceiling_ms:
            self._refuse("ceiling")
        self._sequence = self._sequence + 1 if now == self._last_ms else 0
        self._last_ms = now
        return ids.compose(now, lease.worker, self._sequence)

    def _next_free_ms(self) -> int:
        """The millisecond to mint in, after waiting out a small step back or a millisecond that is used up."""
        for _ in range(limits.STEP_BACK_WAIT_MS + 1):
            now = self._clock.now_ms()
            if now > self._last_ms or (now == self._last_ms and self._sequence + 1 < limits.SEQUENCE_PER_MS):
                return now
            if self._last_ms - now > limits.STEP_BACK_WAIT_MS:
                self._refuse("clock")
            self._pause(0.001)
        self._refuse("sequence" if self._clock.now_ms() == self._last_ms else "clock")

    def _refuse(self, reason: str) -> NoReturn:
        self._refused(reason)
        raise IdsRefused(reason)
