"""What the suite may do to a cluster from outside, for either adapter.

`clock` is the processes' time, moved by the tests alone; the lives of keys run by the engine's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import redis

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, Link
from rookery_server.cache.memory import MemoryCacheWorld, Node
from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock

START_MS = 1_800_000_000_000
PATIENCE_S = 10.0
"""For what a real node does a little later; two busy cores need more than a moment now and then."""


class ManualClock:
    def __init__(self) -> None:
        self.wall_ms, self.mono = START_MS, 1_000.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.mono

    def advance(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.mono += seconds

    def tweet(self, age_ms: int = 0, sequence: int = 0) -> int:
        """An id minted `age_ms` ago."""
        return ids.compose(self.wall_ms - age_ms, 1, sequence)


class Subject(Protocol):
    """Its nodes are known, as where a worker has been."""

    clock: ManualClock

    def process(self, *, relations_life_s: float = limits.RELATIONS_LIFE_S) -> Cache:
        """An adapter of its own, as another process would have it."""
        ...

    def forget(self) -> None:
        """No node is known any more, as where no worker has been; connections survive."""
        ...

    def node_of(self, number: int) -> str:
        """The node of all keys whose tag is `number`."""
        ...

    def left_s(self, key: bytes) -> float | None:
        """Seconds a key has to live; None: it does not exist."""
        ...

    def shorten(self, key: bytes, left_s: int) -> None:
        """As if time had passed: the key lives so long from now; 0 ends it."""
        ...

    def drop_connections(self, node: str) -> None: ...

    def lose_everything(self, node: str) -> None:
        """The node is empty, as after a restart; connections may or may not survive."""
        ...


class MemorySubject:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.world = MemoryCacheWorld(self.clock)
        self.world.adopt()

    def process(self, *, relations_life_s: float = limits.RELATIONS_LIFE_S) -> Cache:
        return self.world.client(relations_life_s=relations_life_s)

    def forget(self) -> None:
        for node in self.world.nodes.values():
            node.flush()

    def node_of(self, number: int) -> str:
        return self.world.node_of(number).name

    def left_s(self, key: bytes) -> float | None:
        node = self._node(key)
        return None if node.get(key) is None else node.left_s(key)

    def shorten(self, key: bytes, left_s: int) -> None:
        node = self._node(key)
        value = node.get(key)
        assert value is not None
        node.set(key, value, left_s)

    def drop_connections(self, node: str) -> None:
        self.world.nodes[node].break_connections()

    def lose_everything(self, node: str) -> None:
        self.world.nodes[node].restart_empty()

    def _node(self, key: bytes) -> Node:
        return self.world.node_of(_tag(key))


class ValkeySubject:
    def __init__(self, make: Callable[[Clock, float], Cache], addresses: tuple[tuple[str, int], ...]) -> None:
        self.clock = ManualClock()
        self._make = make
        self._clients = {}
        self._slots: list[tuple[int, int, str]] = []
        for host, port in addresses:
            client = redis.Redis(host=host, port=port, socket_timeout=5.0, protocol=2, decode_responses=True)
            name, me = _run(client, "CLUSTER", "MYSHARDID"), _run(client, "CLUSTER", "MYID")
            self._clients[name] = client
            for first, last, primary, *_ in _run(client, "CLUSTER", "SLOTS"):
                if primary[2] == me:
                    self._slots.append((first, last, name))
            marks = keys.watermarks(tuple((first, last) for first, last, of in self._slots if of == name))
            _run(client, "HSET", marks, keys.WATERMARKS_NODE, name, "flushed", 0)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def process(self, *, relations_life_s: float = limits.RELATIONS_LIFE_S) -> Cache:
        return self._make(self.clock, relations_life_s)

    def forget(self) -> None:
        for name in self._clients:
            self.lose_everything(name)

    def node_of(self, number: int) -> str:
        slot = keys.slot_of(number)
        return next(name for first, last, name in self._slots if first <= slot <= last)

    def left_s(self, key: bytes) -> float | None:
        left = _run(self._of(key), "PTTL", key)
        return None if left == -2 else float("inf") if left == -1 else left / 1000

    def shorten(self, key: bytes, left_s: int) -> None:
        assert _run(self._of(key), "EXPIRE", key, left_s) == 1

    def drop_connections(self, node: str) -> None:
        for kind in ("normal", "pubsub"):
            _run(self._clients[node], "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def lose_everything(self, node: str) -> None:
        _run(self._clients[node], "FLUSHALL")

    def _of(self, key: bytes) -> redis.Redis:
        return self._clients[self.node_of(_tag(key))]


def _run(client: redis.Redis, *command: Any) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def _tag(key: bytes) -> int:
    return int(key[key.index(b"{") + 1 : -1])


async def ended(cache: Cache, link: Link) -> None:
    """Waits until the process has noticed that its connection is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while cache.is_current(link):
        assert time.monotonic() < deadline, "the link never ended"
        await asyncio.sleep(0.005)


async def relinked(cache: Cache, link: Link) -> Link:
    """A new link to the node of `link`, which has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = (await cache.open_links()).get(link.node)
        if found is not None:
            return found
        assert time.monotonic() < deadline, "no new link"
        await asyncio.sleep(0.02)
