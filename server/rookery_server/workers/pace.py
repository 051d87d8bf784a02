"""How deliveries are doing, for what must stay out of their way.  Rules D6 of docs/protocols/delivery.md and N10 of
docs/protocols/count.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from rookery_server.domain.clock import Clock

BESIDE_S = 1.0
"""A delivery that began within this has company: a second without one is a calm second."""
BEHIND_S = 0.25
"""A delivery whose first look at the store takes longer than this is behind: calm, it is done in some milliseconds."""
REST_MOST_S = 5.0
"""However long a step took: a store that answered late is no reason to stand still for minutes."""
PAUSE_MOST_S = 2.0
"""What waits for deliveries that are behind goes on after this all the same: behind may be for hours, a node away."""
LOOK_S = 0.05
"""How often it looks again meanwhile."""


class Pace:
    """Of one worker.  Deliveries say when they begin and how they come on; others ask how long to rest."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._last: tuple[int, float] = (0, float("-inf"))
        """The event whose delivery began last, and when."""
        self._beginning: dict[int, float] = {}
        """Fresh deliveries that look for their row, and since when: the first is the oldest."""

    @contextmanager
    def beginning(self, event_id: int) -> Iterator[None]:
        """Around the first step of a fresh delivery, the look at its row: it waits for store and processor, as all
        its further steps will, and for nothing else."""
        now = self._clock.monotonic()
        self._last, self._beginning[event_id] = (event_id, now), now
        try:
            yield
        finally:
            self._beginning.pop(event_id, None)

    def beside(self, but: int = 0) -> bool:
        """Whether deliveries begin these days, others than that of the event `but`."""
        last, at = self._last
        lately = last != but and self._clock.monotonic() - at < BESIDE_S
        return lately or any(event_id != but for event_id in self._beginning)

    def behind(self) -> bool:
        """Whether a delivery waits for longer than it should."""
        oldest = next(iter(self._beginning.values()), None)
        return oldest is not None and self._clock.monotonic() - oldest > BEHIND_S

    async def rest(self, seconds: float, but: int = 0) -> None:
        """Between two steps: beside deliveries (others than that of the event `but`) it rests so long, at most some
        seconds; if not positive, not at all."""
        if seconds > 0 and self.beside(but):
            await self._sleep(min(seconds, REST_MOST_S))

    async def give_way(self, took_s: float, lengths: float) -> None:
        """For whatever can wait: as `rest`, and while deliveries are behind somewhat longer."""
        await self.rest(took_s * lengths)
        until = self._clock.monotonic() + PAUSE_MOST_S
        while self.behind() and self._clock.monotonic() < until:
            await self._sleep(LOOK_S)
