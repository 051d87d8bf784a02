"""Bounded concurrency: inside one call, and across a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from rookery_server.domain.errors import CapReached

T = TypeVar("T")


async def each(items: Collection[T], limit: int, work: Callable[[T], Awaitable[object]]) -> None:
    """Runs `work` over all items, at most `limit` at a time.  The first error ends the rest and is raised as it is."""
    waiting = iter(items)

    async def lane() -> None:
        for item in waiting:
            await work(item)

    lanes = [asyncio.create_task(lane()) for _ in range(min(limit, len(items)))]
    try:
        await asyncio.gather(*lanes)
    finally:
        for task in lanes:
            task.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


class Slots:
    """At most so many at a time in this process; who finds none free waits a moment, then gets CapReached."""

    def __init__(self, limit: int, wait_s: float):
        self._free = asyncio.Semaphore(limit)
        self._wait_s = wait_s

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise CapReached from None
        try:
            yield
        finally:
            self._free.release()
