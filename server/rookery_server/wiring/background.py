"""Tasks that live as long as the process: one that ends by a bug ends the process, loudly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """Start them, then `wait`: it returns when `stop` was called and raises what a task died of."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self._stop = asyncio.Event()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def stop(self) -> None:
        """Safe to call from a signal handler of the loop."""
        self._stop.set()

    async def wait(self) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()  # raises what it died of
                    if not self._stop.is_set():
                        raise RuntimeError(f"{task.get_name()} ended, and the process with it")
        finally:
            stopping.cancel()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
