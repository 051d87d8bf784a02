"""What goes wrong in a history beside single calls: whole nodes and processes, and how bad the weather is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from rookery_server.cache.memory import MemoryCacheWorld, Node
from rookery_server.domain.fanout import AuthorTier
from rookery_server.store.memory import MemoryStoreWorld
from rookery_server.workers.settings import WorkerSettings
from tests.simulation.processes import Server
from tests.support.faults import Process, SkewedClock, Trace, Weather
from tests.support.oracle import Oracle
from tests.support.virtual_time import VirtualTimeLoop

ACTIVE_S = (12.0, 20.0, 30.0)
"""How long people are busy: most of what goes wrong does so within seconds."""


@dataclass(frozen=True)
class Climate:
    """What to draw from, instead of everything: to look long where something is rare otherwise.

    `weather`: fixed probabilities; all others are 0.  `troubles`: names of methods of `History`.  `deeds`: by name, how
    often people do what, where it differs."""

    weather: Mapping[str, float] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    deeds: Mapping[str, int] = field(default_factory=dict)
    replicated: bool = False
    active_s: float = 30.0
    sizes: tuple[str, ...] = ()
    listeners: int = 0


class Troubles:
    """Half of a history: the other half is its people."""

    loop: VirtualTimeLoop
    trace: Trace
    dice: random.Random
    weather: Weather
    climate: Climate | None
    cache: MemoryCacheWorld
    people: list[int]
    servers: list[Server]
    workers: list[Process]
    oracle: Oracle
    store: MemoryStoreWorld
    settings: WorkerSettings
    true_clock: SkewedClock

    async def _page(self, user: int, position: None, server: Server, size: int = 0) -> object:
        raise NotImplementedError

    def brew(self) -> None:
        """Each history has its own mixture, so that some faults come alone and some together."""
        dice, weather = self.dice, self.weather
        if self.climate is not None:
            for name, value in self.climate.weather.items():
                setattr(weather, name, value)
            return
        weather.slow = dice.choice([0.0, 0.01, 0.05])
        weather.slow_reads_s = dice.choice([0.3, 2.0, 7.0])
        weather.lagging_replica = dice.choice([0.0, 0.2, 0.5])
        weather.crash = dice.choice([0.0, 0.0005, 0.003])
        weather.store_refuses = dice.choice([0.0, 0.0, 0.01])
        weather.store_unknown = dice.choice([0.0, 0.0, 0.01])
        weather.store_lost = dice.choice([0.0, 0.0, 0.1])
        weather.store_late = dice.choice([0.0, 0.1, 0.3])
        weather.cache_refuses = dice.choice([0.0, 0.0, 0.003])
        weather.cache_silent = dice.choice([0.0, 0.0, 0.003])
        weather.cache_full = dice.choice([0.0, 0.0, 0.02])
        weather.store_torn = dice.choice([0.0, 0.1])
        weather.slow_gathers = dice.choice([0.0, 0.0, 0.2])
        weather.own_fails = dice.choice([0.0, 0.0, 0.3])
        weather.stub_fails = dice.choice([0.0, 0.0, 0.3])
        weather.late_s = dice.choice([12.0, 30.0])
        weather.slow_pages = dice.choice([0.0, 0.0, 0.1])

    async def _trouble(self) -> None:
        """Faults of whole nodes and processes, one after another."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self._stop_node, self._fail_over, self._fail_over_at_once, self._restart_empty, self._cut_links,
            self._pause_process, self._step_clock, self._lag_replica,
        ]  # fmt: skip
        if self.settings.thresholds.pull_from:
            kinds.append(self._cross)
        mine = self.dice.sample(kinds, self.dice.randrange(0, 4))
        if self.climate is not None:
            mine = [getattr(self, name) for name in self.climate.troubles]
        while mine:
            await asyncio.sleep(self.dice.uniform(1.0, 9.0))
            await self.dice.choice(mine)()

    def _node(self) -> Node:
        return self.dice.choice(list(self.cache.nodes.values()))

    def _told(self, *what: object) -> None:
        raise NotImplementedError

    async def _stop_node(self) -> None:
        node = self._node()
        self._told(node.name, "stops")
        node.stop()
        await asyncio.sleep(self.dice.uniform(0.1, 6.0))
        node.resume()
        self._told(node.name, "goes on")
        await asyncio.sleep(self.dice.uniform(0.0, 0.05))
        node.run_backlog()

    async def _cross(self) -> None:
        """Somebody becomes pull, or is delivered again, whatever the count says."""
        store, author = self.store.client(), self.dice.choice(self.people)
        row = next((row for row in await store.tiers() if row.author_id == author), None)
        pull, crossing = not (row and row.pull), self.settings.crossing
        switch_ms = self.true_clock.now_ms() + int((crossing.announce_s if pull else crossing.merge_s) * 1000)
        await store.set_tier(row, AuthorTier(author, pull, switch_ms))
        self._told(author, "becomes pull" if pull else "is delivered again")

    async def _lag_replica(self) -> None:
        node = self._node()
        node.replicating = False
        await asyncio.sleep(self.dice.uniform(0.1, 2.0))
        node.replicate()

    async def _fail_over(self) -> None:
        node = self._node()
        if not node.replicated:
            return
        node.replicating = False
        await asyncio.sleep(self.dice.uniform(0.0, self.dice.choice([1.5, 9.0])))
        self._told(node.name, "dies")
        node.kill()
        await asyncio.sleep(self.dice.choice([0.0, 1.0, 4.0]))
        node.fail_over()
        self._told(node.name, "is succeeded")
        await self._everybody_looks()

    async def _fail_over_at_once(self) -> None:
        """A replica far behind takes over before anybody has noticed."""
        node = self._node()
        if not node.replicated:
            return
        node.replicating = False
        await asyncio.sleep(self.dice.uniform(6.0, 10.0))
        if not node.dead:
            node.fail_over()
            self._told(node.name, "is succeeded at once")
            await self._everybody_looks()

    async def _everybody_looks(self) -> None:
        """At once, through both servers: nobody may see more claimed than there is."""
        await asyncio.gather(*(self._page(user, None, server) for user in self.people for server in self.servers))

    async def _restart_empty(self) -> None:
        node = self._node()
        self._told(node.name, "restarts empty")
        node.kill()
        await asyncio.sleep(self.dice.uniform(0.0, 2.0))
        node.restart_empty()

    async def _cut_links(self) -> None:
        self._node().break_connections()

    async def _pause_process(self) -> None:
        process = self.dice.choice([*self.workers, *(server.process for server in self.servers)])
        process.paused_until = self.loop.now + self.dice.choice([1.0, 4.0, 14.0])
        self._told(process.name, "pauses until", process.paused_until)

    async def _step_clock(self) -> None:
        clock = self.dice.choice([*self.workers, *(server.process for server in self.servers)]).clock
        before, step = clock.offset_ms, self.dice.choice([-300_000, -5_000, 3_000, 300_000])
        self._told("a clock steps by", step)
        self.oracle.unsure_ms = inf
        clock.offset_ms = before + step
        await asyncio.sleep(self.dice.uniform(1.0, 8.0))
        clock.offset_ms = before
