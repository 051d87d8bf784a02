"""Hooks for a Cassandra session: what a network and a ring can do to one request."""

from __future__ import annotations

import asyncio
from typing import Any

from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.store.cassandra.session import Send


class Faults:
    """Does nothing until told: `lose_request`, `lose_reply` and `commit_late` hold for the next request of a name."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._planned: dict[str, str] = {}
        self._release = asyncio.Event()
        self._late: set[asyncio.Task[Any]] = set()

    def lose_request(self, name: str) -> None:
        """It never reaches the ring."""
        self._planned[name] = "request"

    def lose_reply(self, name: str) -> None:
        """It is done, and nobody hears of it."""
        self._planned[name] = "reply"

    def commit_late(self, name: str) -> None:
        """The caller gets no answer; it is done when `release` is called: a batchlog replay, a hint."""
        self._planned[name] = "late"

    async def release(self) -> None:
        """Lets everything late happen now."""
        self._release.set()
        await asyncio.gather(*self._late)
        self._release.clear()
        self._late.clear()

    async def __call__(self, name: str, send: Send) -> Any:
        self.sent.append(name)
        match self._planned.pop(name, ""):
            case "":
                return await send()
            case "reply":
                await send()
            case "late":
                self._late.add(asyncio.create_task(self._later(send)))
        raise StoreUnavailable(f"{name}: no answer", outcome=Outcome.UNKNOWN)

    async def _later(self, send: Send) -> None:
        await self._release.wait()
        await send()
