"""Writes that, once begun, run to a known end or a stated unknown one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import Outcome, StoreUnavailable, Unavailable
from rookery_server.domain.events import Event
from rookery_server.domain.limits import ATTEMPT_LIFE_MS, MIN_WRITE_LEFT_S, STARTED_WRITE_S
from rookery_server.services.calls import Call

T = TypeVar("T")


@contextmanager
def unknown_from_here() -> Iterator[None]:
    """Of a change in several steps, after the first was written: whatever fails now leaves its outcome unknown, also a
    mere read, which would say that nothing happened."""
    try:
        yield
    except Unavailable as error:
        raise StoreUnavailable(outcome=Outcome.UNKNOWN) from error


class StartedWrites:
    """The writes under way in this process, shielded from their callers."""

    def __init__(self, clock: Clock, new_id: Callable[[], int]):
        """`new_id` mints; it may raise IdsRefused, which proves that nothing was written."""
        self._clock, self._new_id = clock, new_id
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, write: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins a write that no caller's cancellation ends; it has `STARTED_WRITE_S`, then its outcome is unknown."""

        async def bounded() -> T:
            try:
                async with asyncio.timeout(STARTED_WRITE_S):
                    return await write
            except TimeoutError as error:
                raise StoreUnavailable(outcome=Outcome.UNKNOWN) from error

        task = asyncio.create_task(bounded())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def run(self, write: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self.start(write))

    async def drain(self) -> None:
        """Waits until no write is under way: the last thing a server does before it closes its stores."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def attempt(self, call: Call, event: Event, send: Callable[[Event], Awaitable[None]]) -> Event:
        """Sends one write, and once more if the first ended unknown and the deadline leaves time, or was acked so long
        after its id that readers may have passed it (a process that stood still in between).

        `event` is a draft: each attempt sends a copy under a new id, minted right before, the second one marked as a
        repeat.  Returns the event that was acked.  Raises StoreUnavailable, UNKNOWN as soon as one attempt was.
        """
        return (await self.timed_attempt(call, event, send))[0]

    async def timed_attempt(
        self, call: Call, event: Event, send: Callable[[Event], Awaitable[None]]
    ) -> tuple[Event, float]:
        """As `attempt`; and the monotonic time right before the id of the acked event was minted."""
        began, first = self._clock.monotonic(), replace(event, id=self._new_id())
        try:
            await send(first)
        except StoreUnavailable as error:
            if error.outcome is Outcome.NONE or call.left(self._clock) < MIN_WRITE_LEFT_S:
                raise
        else:
            if self._in_time(first, began):
                return first, began
        return await self._once_more(event, send)

    async def _once_more(self, event: Event, send: Callable[[Event], Awaitable[None]]) -> tuple[Event, float]:
        try:
            began, second = self._clock.monotonic(), replace(event, id=self._new_id(), repeat=True)
            await send(second)
        except Exception as error:
            # Of whatever kind: the first attempt's outcome stays unknown, and that is what the caller must hear.
            raise StoreUnavailable(outcome=Outcome.UNKNOWN) from error
        if not self._in_time(second, began):
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)
        return second, began

    def _in_time(self, event: Event, began: float) -> bool:
        """What watermarks rest on: an acked event was in the log this soon after its id was minted, at `began`."""
        return self.age_ms(event, began) <= ATTEMPT_LIFE_MS

    def age_ms(self, event: Event, began: float) -> float:
        """Of an event whose id was minted at `began`, by whichever clock says more: the wall clock may have been set
        back, and the monotonic one may stand while a machine is suspended."""
        by_wall_ms = self._clock.now_ms() - ids.time_ms(event.id)
        return max(by_wall_ms, (self._clock.monotonic() - began) * 1000)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a caller that is gone leaves nobody else to look at it
