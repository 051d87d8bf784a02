"""The doorbell: an event's bytes by sharded publish.  Nothing rests on it; a lost ring costs one poll."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from rookery_server.cache import keys
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.connection import Connection, Reply
from rookery_server.cache.redis.errors import LinkError, NotSent
from rookery_server.cache.redis.handshake import dial
from rookery_server.cache.redis.role import Role

_BACKLOG = 1_000
"""Rings nobody took yet; more are dropped: the poll finds their events."""
_PING_S = 1.0
"""A node that stopped says nothing: an unanswered ping ends the connection."""
_PARTIAL_S = 2.0
"""A listener that could not reach every node ends after this, to be begun again: promotions take seconds."""

Ring = tuple[int, bytes]
_END: Final = None


class BellRole(Role):
    def ring(self, shard: int, event: bytes) -> None:
        client = self._client
        port = client.current_port(keys.slot_of(shard))
        if port is not None and port.link is not None:
            client.cast(port.link, pack("SPUBLISH", keys.bell(shard), event))

    async def listen(self, shards: frozenset[int]) -> AsyncIterator[Ring]:
        listener = _Listener(self._client, shards)
        try:
            await listener.start()
            while (ring := await listener.rings.get()) is not _END:
                yield ring
        finally:
            await listener.close()


class _Listener:
    """One iteration: connections of its own to every node that carries one of the channels."""

    def __init__(self, client: Client, shards: frozenset[int]) -> None:
        self._client = client
        self._shards = shards
        self._connections: list[Connection] = []
        self._pinging: asyncio.Task[None] | None = None
        self.rings: asyncio.Queue[Ring | None] = asyncio.Queue(_BACKLOG + 1)

    async def start(self) -> None:
        """Raises LinkError when no node can be reached."""
        topology = await self._client.topology()
        by_node: dict[str | None, list[int]] = {}
        for shard in self._shards:
            by_node.setdefault(topology.owners[keys.slot_of(shard)], []).append(shard)
        partial = by_node.pop(None, None) is not None
        for node, shards in by_node.items():
            if node is None:
                continue
            try:
                await self._subscribe(node, shards)
            except LinkError:
                partial = True
        if self._shards and not self._connections:
            raise NotSent("no node carries the bell now")
        self._pinging = asyncio.create_task(self._ping(_PARTIAL_S if partial else None), name="cache bell")

    async def _subscribe(self, node: str, shards: list[int]) -> None:
        address = self._client.directory.current.shards[node].primary
        connection = (await dial(address, self._client.settings, shard_id=node)).connection
        self._connections.append(connection)
        connection.on_push = self._heard
        connection.on_lost = self._ended
        # One command a channel, since each has a slot of its own.  Subscribing is answered by pushes, so a ping behind
        # it tells when it is done.
        subscribing = b"".join(pack("SSUBSCRIBE", keys.bell(shard)) for shard in shards)
        await connection.send(subscribing + pack("PING"), 1)

    def _heard(self, push: list[Reply]) -> None:
        match push:
            case [b"smessage", channel, event] if self.rings.qsize() < _BACKLOG:
                self.rings.put_nowait((keys.shard_of_bell(channel), event))
            case [b"sunsubscribe", *_]:  # the slot went elsewhere
                self._ended(NotSent("slot moved"))

    def _ended(self, error: LinkError) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.rings.put_nowait(_END)

    async def _ping(self, for_s: float | None) -> None:
        until = None if for_s is None else asyncio.get_running_loop().time() + for_s
        while until is None or asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_PING_S)
            for connection in self._connections:
                with contextlib.suppress(NotSent):
                    connection.cast(pack("PING"))
        self._ended(NotSent("some nodes are missing"))

    async def close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait([self._pinging])
        for connection in self._connections:
            connection.on_lost = lambda error: None
            connection.lose(NotSent("no longer listening"))
