"""The door to one node for one purpose: at most one connection at a time, and what is remembered between two."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable

from rookery_server.cache.interface import Link
from rookery_server.cache.redis.connection import Connection
from rookery_server.cache.redis.errors import LinkError, NotSent
from rookery_server.cache.redis.handshake import Identity, dial
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.cache.redis.topology import Directory

log = logging.getLogger(__name__)

_GENERATIONS = itertools.count(1)
"""Of the process: a generation never names two connections, whatever object made them."""
_BATCHES_IN_FLIGHT = 2
"""One being answered while the next is on its way keeps the node busy; more would only queue."""


class Port:
    """`prelude` is sent with every greeting (scripts)."""

    def __init__(
        self, node: str, settings: RedisSettings, directory: Directory, prelude: tuple[bytes, ...], rng: random.Random
    ) -> None:
        self.node = node
        self.window = asyncio.Semaphore(_BATCHES_IN_FLIGHT)
        self._settings = settings
        self._directory = directory
        self._prelude = prelude
        self._rng = rng
        self._link: Link | None = None
        self._connection: Connection | None = None
        self._address: Address | None = None
        self._predecessors: dict[Address, Identity] = {}
        self._opening: asyncio.Task[None] | None = None
        self._closed = False
        self._failures = 0
        self._refused_at: Address | None = None
        self._rest_until = 0.0

    @property
    def link(self) -> Link | None:
        """The unbroken connection of this moment, if there is one."""
        return self._link

    @property
    def connection(self) -> Connection | None:
        return self._connection

    @property
    def unanswered(self) -> int:
        return 0 if self._connection is None else self._connection.unanswered

    def over(self, link: Link) -> Connection | None:
        """The connection of exactly this link, or None if it has ended."""
        return self._connection if self._link is not None and self._link.generation == link.generation else None

    async def open(self) -> tuple[Link, Connection]:
        """The current connection, opened if need be: one attempt at a time, shared by all who wait.  Raises
        LinkError, at once while the node is left alone after a failure."""
        if self._link is None:
            await self._reopen()
        if self._link is None or self._connection is None:
            raise NotSent("link ended as it was opened")
        return self._link, self._connection

    async def _reopen(self) -> None:
        if self._closed:
            raise NotSent("cache closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect(), name=f"cache link {self.node[:8]}")
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        # One caller's cancellation is not everybody's.
        await asyncio.wait([opening])
        if opening.cancelled():
            raise NotSent("cache closed")
        opening.result()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, nobody needs it

    async def _connect(self) -> None:
        shard = (await self._directory.fresh()).shards.get(self.node)
        if shard is None:
            raise NotSent("no such node in the cluster now")
        now = asyncio.get_running_loop().time()
        if now < self._rest_until and self._refused_at == shard.primary:
            raise NotSent("left alone after a failure")
        address = shard.primary
        try:
            greeting = await dial(
                address,
                self._settings,
                shard_id=self.node,
                predecessor=self._predecessors.get(address),
                prelude=self._prelude,
            )
        except LinkError as error:
            self._rest(address)
            log.info("cache node %s at %s is out of reach: %s", self.node, address, error)
            raise
        self._adopt(address, greeting.connection, greeting.identity)

    def _adopt(self, address: Address, connection: Connection, identity: Identity) -> None:
        if connection.error is not None:
            raise connection.error
        link = Link(self.node, next(_GENERATIONS))
        connection.on_lost = self._lost_of(link)
        self._predecessors[address] = identity
        self._failures, self._refused_at = 0, None
        self._link, self._connection, self._address = link, connection, address

    def _rest(self, address: Address) -> None:
        """Half to all of the pause at random, so that many processes do not come back as one."""
        pause = min(self._settings.backoff_max_s, self._settings.backoff_s * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        self._refused_at = address
        self._rest_until = asyncio.get_running_loop().time() + pause * (0.5 + self._rng.random() / 2)
        self._directory.doubt(address)

    def _lost_of(self, link: Link) -> Callable[[LinkError], None]:
        def lost(error: LinkError) -> None:
            if self._link is link:
                if not self._closed:
                    log.warning("cache node %s at %s: link %d ended: %s", *self._named(link), error)
                self._directory.doubt(self._address)
                self._link = self._connection = None

        return lost

    def _named(self, link: Link) -> tuple[str, Address | None, int]:
        return self.node, self._address, link.generation

    def follow(self, primary: Address) -> None:
        """Ends the connection if the map has another primary by now: the old one may not know yet."""
        if self._connection is not None and self._address != primary:
            self._connection.lose(NotSent(f"{primary} is primary now"))

    async def close(self) -> None:
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._connection is not None:
            self._connection.lose(NotSent("cache closed"))
