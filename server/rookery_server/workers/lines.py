"""Order: one line for each subject.  Rule D6 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Job = Callable[[], Awaitable[None]]


class Lines:
    """Jobs of one subject run one after another, in the order submitted; those of different subjects concurrently.

    A job must not raise: it has nobody to raise to.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Job]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False

    def submit(self, subject: int, job: Job) -> None:
        """After `stop` nothing is taken any more."""
        if self._stopped:
            return
        line = self._waiting.get(subject)
        if line is not None:
            line.append(job)
            return
        self._waiting[subject] = deque((job,))
        task = asyncio.create_task(self._serve(subject))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, subject: int) -> None:
        line = self._waiting[subject]
        try:
            while line:
                await line[0]()
                line.popleft()
        finally:
            del self._waiting[subject]

    async def stop(self) -> None:
        """Drops what has not begun and waits for what has."""
        self._stopped = True
        for line in self._waiting.values():
            while len(line) > 1:
                line.pop()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def cancel(self) -> None:
        """Ends everything where it stands."""
        self._stopped = True
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
