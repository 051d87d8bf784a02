"""An event loop whose time passes only when nobody can run: an hour of waiting costs nothing; every run is alike."""

from __future__ import annotations

import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(RuntimeError):
    """Nothing can run and nobody waits for a time: a deadlock."""


class _NoFiles:
    """In the selector's place: instead of waiting for files it lets the time pass."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self._loop.now += max(0.0, timeout)
        return []


class VirtualTimeLoop(BaseEventLoop):
    """No files, no threads, no signals: only tasks and timers, in the order of their times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _NoFiles(self)
        # Timers are compared after sums of floats; a microsecond apart is the same moment.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.now

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


def run(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop, over: Callable[[], None] = lambda: None) -> T:
    """Runs `main`, then calls `over` and cancels whatever is still there."""
    try:
        return loop.run_until_complete(main)
    finally:
        over()
        loop.run_until_complete(_end_all(loop))
        loop.close()


async def _end_all(loop: VirtualTimeLoop) -> None:
    for _ in range(20):  # a task may begin others as it ends, or need to be told twice
        left = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
    raise Stuck(f"{len(left)} tasks do not end: {left[0]}")
