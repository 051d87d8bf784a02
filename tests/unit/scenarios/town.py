"""Two servers and a worker over the shipped memory adapters, in time that passes only when nobody can run, with a tally
of what they ask the store for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from rookery_server.cache import keys
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain.clock import Clock
from rookery_server.domain.models import Profile
from rookery_server.metrics import Metrics
from rookery_server.services.tweets import Draft
from rookery_server.store.memory import MemoryStoreWorld, StoreHooks
from rookery_server.store.memory.client import MemoryStore
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.support import virtual_time
from tests.support.virtual_time import VirtualTimeLoop
from tests.unit.services.live_world import LoopTime
from tests.unit.services.test_on_memory import SHARDS, Server

READ_S = 0.002
"""What a read of the store takes here, so that reads can be under way at the same time."""


class Tally(StoreHooks):
    """Counts by operation, each of which takes a moment."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()

    def reset(self) -> None:
        self.reads.clear()

    async def before(self, operation: str) -> None:
        self.reads[operation] += 1
        await asyncio.sleep(READ_S)


class Tallied(MemoryStoreWorld):
    """Clients made while `hooks` are set have them."""

    hooks: StoreHooks | None = None

    def client(self, clock: Clock | None = None, hooks: StoreHooks | None = None) -> MemoryStore:
        return super().client(clock, hooks or self.hooks)


class Town:
    """Two servers, whose reads are tallied, three cache nodes with replicas; workers come and go."""

    def __init__(self) -> None:
        self.time, self.tally = LoopTime(), Tally()
        self.stores = Tallied(self.time, shards=SHARDS)
        self.caches = MemoryCacheWorld(self.time, nodes=3, replicated=True)
        self.one, self.two = self.server(1, self.tally), self.server(2, self.tally)
        self._last_worker = 0

    def server(self, worker_id: int, hooks: StoreHooks) -> Server:
        self.stores.hooks = hooks
        server = Server(self, worker_id)  # type: ignore[arg-type]
        self.stores.hooks = None
        return server

    async def begin(self) -> asyncio.Task[None]:
        """The loops of both servers, and a worker, which is returned."""
        for server in (self.one, self.two):
            for loop in (server.claims, server.tiers):
                _ended_with_its_loop(asyncio.create_task(loop.run()))
        worker = self.work()
        await asyncio.sleep(20)
        return worker

    def work(self) -> asyncio.Task[None]:
        self._last_worker += 1
        worker = Worker(
            self.stores.client(), self.caches.client(), self.time, WorkerSettings(), f"w{self._last_worker}", Metrics(),
            choice=random.Random(1),
        )  # fmt: skip
        return _ended_with_its_loop(asyncio.create_task(worker.run()))

    async def people(self, count: int) -> list[int]:
        first = len(self.stores.users)
        names = [f"p{at}" for at in range(first, first + count)]
        return [(await self.one.users.create(self.one.call(0), name, Profile())).id for name in names]

    async def follow(self, follower: int, *followees: int) -> None:
        for followee in followees:
            await self.one.graph.follow(self.one.call(follower), followee)

    async def posts(self, author: int, count: int = 1) -> list[int]:
        """The oldest first."""
        return [(await self.one.tweets.create(self.one.call(author), Draft("x"))).tweet_id for _ in range(count)]

    def entries(self, user: int) -> Sequence[int]:
        """The cached home list as it stands, the end mark with it."""
        found = self.caches.node_of(user).get(keys.home(user))
        assert isinstance(found, tuple)
        return found


_TASKS: set[asyncio.Task[None]] = set()


def _ended_with_its_loop(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """Kept until it ends: nobody else holds it."""
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    """Killed."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def tell(story: Callable[[Town], Awaitable[None]]) -> None:
    """Runs a story in virtual time."""

    async def told() -> None:
        await story(Town())

    virtual_time.run(told(), VirtualTimeLoop.new())
