"""Driver threads to the event loop: every answer of one loop tick crosses in one call.

Answers are appended to a deque by the driver's thread; only the first of a tick wakes the loop.  A wake-up each costs
a third of the client's CPU on a page of twenty bodies.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rookery_server.metrics import Gauge, Histogram


class Ticket:
    """One request under way: where its answer goes, and since when (monotonic seconds)."""

    __slots__ = ("future", "in_flight", "started", "timed")

    def __init__(self, future: asyncio.Future[Any], timed: Histogram, in_flight: Gauge) -> None:
        self.future, self.timed, self.in_flight = future, timed, in_flight
        self.started = time.monotonic()


class Bridge:
    """`on_done` is called on the loop for each ticket that ends."""

    def __init__(self, on_done: Callable[[Ticket], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_done = on_done
        self._answers: deque[tuple[Ticket, float, Any, BaseException | None]] = deque()
        self._woken = False

    def future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def answered(self, rows: Any, ticket: Ticket) -> None:
        """On a driver thread."""
        self._cross((ticket, time.monotonic(), rows, None))

    def failed(self, error: BaseException, ticket: Ticket) -> None:
        """On a driver thread."""
        self._cross((ticket, time.monotonic(), None, error))

    def _cross(self, answer: tuple[Ticket, float, Any, BaseException | None]) -> None:
        self._answers.append(answer)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._woken = False  # the loop is closed: nobody waits any more

    def _deliver(self) -> None:
        # Lowered before the deque is emptied: an answer appended from here on wakes the loop again.
        self._woken = False
        while self._answers:
            ticket, ended, rows, error = self._answers.popleft()
            ticket.timed.observe(ended - ticket.started)
            self._on_done(ticket)
            if ticket.future.done():
                continue  # its caller went away
            if error is None:
                ticket.future.set_result(rows)
            else:
                ticket.future.set_exception(error)
