"""Whose page goes next.  Rule D6 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """At most `at_once` pages at a time.  An event's first page goes before the further pages of others; so that a
    crowd of small authors does not stop a large one either, of `at_once` + 1 turns one goes to a further page."""

    def __init__(self, at_once: int) -> None:
        self._free = self._at_once = at_once
        self._first: deque[asyncio.Future[None]] = deque()
        self._further: deque[asyncio.Future[None]] = deque()
        self._passed_over = 0
        """Turns in a row that a waiting further page saw go to first pages."""

    @contextlib.asynccontextmanager
    async def turn(self, *, first: bool) -> AsyncIterator[None]:
        await self._take(self._first if first else self._further)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, line: deque[asyncio.Future[None]]) -> None:
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # granted in the very moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._free += 1
        self._grant()

    def _grant(self) -> None:
        while self._free and (turn := self._next()) is not None:
            self._free -= 1
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        while self._first or self._further:
            owed = bool(self._further) and (not self._first or self._passed_over >= self._at_once)
            turn = (self._further if owed else self._first).popleft()
            if not turn.done():  # or else whoever waited was cancelled
                self._passed_over = 0 if owed else self._passed_over + bool(self._further)
                return turn
        return None
