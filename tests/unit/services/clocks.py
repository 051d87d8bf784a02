"""A clock the test moves, and ids minted from it."""

from __future__ import annotations

import asyncio

from rookery_server.domain import ids

START_MS = 1_700_000_000_000


class TestClock:
    """Wall and monotonic time move together."""

    __test__ = False

    def __init__(self, now_ms: int = START_MS):
        self._ms = now_ms

    def now_ms(self) -> int:
        return self._ms

    def monotonic(self) -> float:
        return self._ms / 1000

    def advance(self, ms: int) -> None:
        self._ms += ms

    async def sleep(self, seconds: float) -> None:
        """Passes the time at once; whoever else is ready runs first."""
        await asyncio.sleep(0)
        self.advance(round(seconds * 1000))


class Mint:
    """Ids of one worker at the clock's time, strictly rising."""

    def __init__(self, clock: TestClock, worker: int = 1):
        self._clock, self._worker = clock, worker
        self.last = 0

    def __call__(self) -> int:
        self.last = max(self.last + 1, ids.compose(self._clock.now_ms(), self._worker, 0))
        return self.last
