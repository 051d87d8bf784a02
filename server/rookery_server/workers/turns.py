"""Whose page goes next.  Rule D6 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """At most `at_once` turns at a time, `further_at_once` of them for what is not an event's first.  First ones go
    before further ones; so that a crowd of small authors does not stop a large one, of `at_once` + 1 turns one goes to
    a further one that waits."""

    def __init__(self, at_once: int, further_at_once: int) -> None:
        self._free = self._at_once = at_once
        self._further_free = further_at_once
        self._first: deque[asyncio.Future[None]] = deque()
        self._further: deque[asyncio.Future[None]] = deque()
        self._passed_over = 0
        """Turns in a row that a further one, which could have had them, saw go to first ones."""

    @contextlib.asynccontextmanager
    async def turn(self, *, first: bool) -> AsyncIterator[None]:
        await self._take(first)
        try:
            yield
        finally:
            self._give_back(first)

    async def _take(self, first: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        (self._first if first else self._further).append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # granted in the very moment
                self._give_back(first)
            raise

    def _give_back(self, first: bool) -> None:
        self._free += 1
        self._further_free += not first
        self._grant()

    def _grant(self) -> None:
        while self._free and (turn := self._next()) is not None:
            self._free -= 1
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        while self._first or (self._further and self._further_free):
            waits = bool(self._further and self._further_free)
            further = waits and (not self._first or self._passed_over >= self._at_once)
            turn = (self._further if further else self._first).popleft()
            if not turn.done():  # or else whoever waited was cancelled
                self._passed_over = 0 if further else self._passed_over + waits
                self._further_free -= further
                return turn
        return None
