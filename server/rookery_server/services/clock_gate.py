"""Whether this process's clock may be believed.  Rule L10 of docs/protocols/lease.md."""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections.abc import Awaitable, Callable

from rookery_server.domain import limits
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.minting import WallGuard
from rookery_server.store.interface import ClockStore

log = logging.getLogger(__name__)


class ClockGate:
    """Closed until the first comparison, and while the median offset is above the bound or the wall clock has jumped
    since.  `seen` is told each offset in seconds.  A comparison that cannot be made changes nothing: without the
    store no lease is renewed either, and the ceiling ends minting soon enough.  Nor does one in whose course the clock
    was set: it speaks of the clock as it was."""

    def __init__(
        self,
        store: ClockStore,
        guard: WallGuard,
        *,
        every_s: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seen: Callable[[float], None] = lambda offset_s: None,
    ) -> None:
        self._store, self._guard, self._every_s, self._sleep, self._seen = store, guard, every_s, sleep, seen
        self._within = False

    @property
    def open(self) -> bool:
        return self._within and not self._guard.jumped()

    async def measure(self) -> None:
        """Compares once with up to three coordinators."""
        before = self._guard.difference()
        try:
            offsets = await self._store.coordinator_clocks_ms()
        except StoreUnavailable:
            return
        if not offsets or self._guard.jumped(before):
            return
        offset = statistics.median(offsets)
        self._seen(offset / 1000)
        within = abs(offset) <= limits.CLOCK_BOUND_MS
        if within != self._within:
            log.log(logging.INFO if within else logging.ERROR, "clock gate %s: offset %d ms",
                    "opens" if within else "closes", offset)  # fmt: skip
        self._within = within
        self._guard.rebase()

    async def run(self) -> None:
        while True:
            await self.measure()
            await self._sleep(self._every_s)
