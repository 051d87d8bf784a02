"""A clock that stands until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass

START_MS = 1_700_000_000_000


@dataclass
class HandClock:
    """`advance` moves wall and monotonic time, `set_by` the wall alone."""

    wall_ms: float = START_MS
    mono: float = 50.0

    def now_ms(self) -> int:
        return int(self.wall_ms)

    def monotonic(self) -> float:
        return self.mono

    def advance(self, seconds: float) -> None:
        self.wall_ms += seconds * 1000
        self.mono += seconds

    def set_by(self, milliseconds: float) -> None:
        self.wall_ms += milliseconds


@dataclass
class HandGate:
    """Whether the clock agrees with the others', as a test says."""

    open: bool = True
