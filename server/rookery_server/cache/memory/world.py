"""One cluster, shared by every process that has a client of it.

What is exact: links and their ends, commands in order on one link, scripts as one step, lives, replicas that hold a
prefix, nodes that stop, restart empty or fail over, commands that run late.  What is left out: moving slots, eviction,
an old primary that still answers.
"""

from __future__ import annotations

from bisect import bisect_right

from rookery_server.cache import keys
from rookery_server.cache.memory.bell import Listener
from rookery_server.cache.memory.client import MemoryCache
from rookery_server.cache.memory.hooks import CacheHooks
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.values import StoredMarks
from rookery_server.domain import limits
from rookery_server.domain.clock import Clock, SystemClock


class MemoryCacheWorld:
    """`clock` is the engine's own: lives run by its monotonic time."""

    def __init__(
        self,
        clock: Clock | None = None,
        nodes: int = 3,
        *,
        replicated: bool = False,
        relations_life_s: float = limits.RELATIONS_LIFE_S,
    ) -> None:
        self.clock = clock or SystemClock()
        self.relations_life_s = relations_life_s
        borders = [keys.SLOTS * at // nodes for at in range(nodes + 1)]
        self._in_order = [
            Node(f"node-{at}", (borders[at], borders[at + 1] - 1), self.clock, replicated) for at in range(nodes)
        ]
        self._borders = borders[1:]
        self.nodes = {node.name: node for node in self._in_order}
        self.listeners: list[Listener] = []
        self._homes: dict[int, Node] = {}

    def adopt(self) -> None:
        """Every node is known from now on, as when a worker has been there: without one nothing is ever settled."""
        for node in self.nodes.values():
            node.set(node.watermarks_key, StoredMarks(node.name, self.clock.now_ms()), None)

    def client(
        self, clock: Clock | None = None, hooks: CacheHooks | None = None, *, relations_life_s: float | None = None
    ) -> MemoryCache:
        """One process's view: `clock` is that process's, and so is how long relations live that it writes."""
        return MemoryCache(self, clock or self.clock, hooks or CacheHooks(), relations_life_s or self.relations_life_s)

    def node_of(self, number: int) -> Node:
        """The node of all keys whose tag is `number`; each has one run of slots."""
        node = self._homes.get(number)
        if node is None:
            node = self._homes[number] = self._in_order[bisect_right(self._borders, keys.slot_of(number))]
        return node
