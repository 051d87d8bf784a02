"""What every role stands on: one unbroken link to each node, and commands over it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from rookery_server.cache.interface import Link
from rookery_server.cache.memory.hooks import CacheHooks, Refused
from rookery_server.cache.memory.node import Node
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, Outcome

if TYPE_CHECKING:
    from rookery_server.cache.memory.bell import Listener
    from rookery_server.cache.memory.world import MemoryCacheWorld

T = TypeVar("T")
_GENERATIONS = itertools.count(1)
"""Of this Python process: a generation never names two links, whatever object made them."""


@dataclass(slots=True)
class _Connection:
    link: Link
    epoch: int
    order: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the sending of a command until it ran: the next one waits behind it."""


class Role:
    def __init__(self, world: MemoryCacheWorld, clock: Clock, hooks: CacheHooks, relations_life_s: float) -> None:
        self._world, self._clock, self._hooks = world, clock, hooks
        self._relations_life_s = relations_life_s
        self._connections: dict[str, _Connection] = {}
        self._last: dict[str, Link] = {}
        self._listeners: list[Listener] = []

    def is_current(self, link: Link) -> bool:
        return self._unbroken(link) is not None

    def _unbroken(self, link: Link) -> _Connection | None:
        connection = self._connections.get(link.node)
        if connection is None or (connection.link is not link and connection.link != link):
            return None
        return connection if connection.epoch == self._world.nodes[link.node].epoch else None

    def _link(self, node: Node) -> Link:
        """The current link, or a new one, which kills its predecessor first: nothing sent earlier can run later."""
        connection = self._connections.get(node.name)
        if connection is not None and connection.epoch == node.epoch:
            return connection.link
        if not node.answers:
            raise CacheUnavailable
        node.backlog.pop((id(self), self._last.get(node.name)), None)
        link = Link(node.name, next(_GENERATIONS))
        self._connections[node.name], self._last[node.name] = _Connection(link, node.epoch), link
        return link

    def _end(self, link: Link) -> None:
        connection = self._connections.get(link.node)
        if connection is not None and connection.link == link:
            del self._connections[link.node]

    def _end_others(self, node: Node, link: Link) -> None:
        """All connections to the node but this one, whoever's they are."""
        node.break_connections()
        self._connections[link.node].epoch = node.epoch

    async def _over(self, link: Link, operation: str, command: Callable[[Node], T]) -> T:
        """Runs one command over exactly this link.  Raises CacheUnavailable, and then the link has ended unless the
        node only refused this command."""
        order = self._current(link).order
        node = self._world.nodes[link.node]
        try:
            async with order:
                await self._hooks.before(operation, node.name)
                self._current(link)
                result = self._run(node, link, command)
            await self._hooks.after(operation, node.name)
            self._current(link)  # a reply cannot come over a broken connection
        except Refused:
            raise
        except CacheUnavailable:
            self._end(link)
            raise
        return result

    def _current(self, link: Link) -> _Connection:
        connection = self._unbroken(link)
        if connection is None:
            raise CacheUnavailable
        return connection

    def _run(self, node: Node, link: Link, command: Callable[[Node], T]) -> T:
        if node.stopped:
            node.backlog.setdefault((id(self), link), []).append(lambda: node.run(command))
            raise CacheUnavailable(outcome=Outcome.UNKNOWN)
        return node.run(command)

    async def _ask(self, number: int, operation: str, command: Callable[[Node], T]) -> tuple[Link, T]:
        """Runs a command where the keys of `number` are, over whatever link is current."""
        link = self._link(self._world.node_of(number))
        return link, await self._over(link, operation, command)

    def _by_node(self, numbers: Iterable[int]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(self._world.node_of(number).name, []).append(number)
        return groups
