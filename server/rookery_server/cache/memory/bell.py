"""The doorbell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rookery_server.cache.memory.role import Role
from rookery_server.domain.errors import CacheUnavailable

_BACKLOG = 1_000
"""Rings nobody took yet; more are dropped, and the poll finds their events."""


class Listener:
    """One iteration: what it hears, from the nodes that answered when it began."""

    def __init__(self, shards: frozenset[int]) -> None:
        self.shards = shards
        self.nodes: set[str] = set()
        self.rings: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()

    def hear(self, node: str, shard: int, event: bytes) -> None:
        if node in self.nodes and shard in self.shards and self.rings.qsize() < _BACKLOG:
            self.rings.put_nowait((shard, event))

    def end(self) -> None:
        self.nodes.clear()
        self.rings.put_nowait(None)


class BellRole(Role):
    def ring(self, shard: int, event: bytes) -> None:
        node = self._world.node_of(shard)
        connection = self._connections.get(node.name)
        if connection is None or not self.is_current(connection.link) or not node.answers or not self._hooks.rings():
            return
        for listener in self._world.listeners:
            listener.hear(node.name, shard, event)

    async def listen(self, shards: frozenset[int]) -> AsyncIterator[tuple[int, bytes]]:
        listener = Listener(shards)
        nodes = {self._world.node_of(shard).name: self._world.node_of(shard) for shard in shards}.values()
        listener.nodes = {node.name for node in nodes if node.answers}
        if shards and not listener.nodes:
            raise CacheUnavailable
        self._world.listeners.append(listener)
        self._listeners.append(listener)
        # Those that do not answer now end it when they come back: then there is more to hear.
        for node in nodes:
            node.silenced.append(listener.end)
        try:
            while (ring := await listener.rings.get()) is not None:
                yield ring
        finally:
            for node in nodes:
                node.silenced.remove(listener.end)
            self._listeners.remove(listener)
            self._world.listeners.remove(listener)
