"""The doorbell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rookery_server.cache.memory.role import Role

_BACKLOG = 1_000
"""Rings nobody took yet; more are dropped, and the poll finds their events."""


class BellRole(Role):
    def ring(self, shard: int, event: bytes) -> None:
        if not self._world.node_of(shard).answers or not self._hooks.rings():
            return
        for shards, rings in self._world.listeners:
            if shard in shards and rings.qsize() < _BACKLOG:
                rings.put_nowait((shard, event))

    async def listen(self, shards: frozenset[int]) -> AsyncIterator[tuple[int, bytes]]:
        rings: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        listening = (shards, rings)
        self._world.listeners.append(listening)
        self._rings.append(rings)
        try:
            while (ring := await rings.get()) is not None:
                yield ring
        finally:
            self._world.listeners.remove(listening)
            self._rings.remove(rings)
