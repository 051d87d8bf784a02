"""How late this process's event loop is, and whether the process may be sent work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from rookery_server.domain.clock import Clock
from rookery_server.metrics import Metrics

BEAT_S = 0.1
LAG_NOT_READY_S = 1.0
"""A loop this late answers nobody in time."""


class Heartbeat:
    """`checks`: what else readiness asks, by name; only causes of this very process, never an engine out of reach."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        checks: Mapping[str, Callable[[], bool]],
        tell: Callable[[bool], Awaitable[None]],
    ):
        self._clock, self._tell = clock, tell
        self._lag_seen, self._tasks_seen = metrics.event_loop_lag(), metrics.event_loop_tasks()
        self._checks = {name: (check, metrics.ready(name)) for name, check in checks.items()}
        self._loop_gauge = metrics.ready("loop")

    async def run(self) -> None:
        """Beats until cancelled; `tell` hears every change of readiness."""
        told: bool | None = None
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(BEAT_S)
            lag = max(0.0, self._clock.monotonic() - before - BEAT_S)
            self._lag_seen.observe(lag)
            self._tasks_seen.set(len(asyncio.all_tasks()))
            ready = self._all_well(lag)
            if ready != told:
                await self._tell(ready)
                told = ready

    def _all_well(self, lag: float) -> bool:
        well = lag < LAG_NOT_READY_S
        self._loop_gauge.set(well)
        for check, gauge in self._checks.values():
            passed = check()
            gauge.set(passed)
            well = well and passed
        return well
