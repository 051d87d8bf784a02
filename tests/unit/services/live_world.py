"""Streams over the shipped memory adapters and a whole worker, in time that passes only when nobody can run."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from rookery_server.cache.memory import CacheHooks, MemoryCacheWorld
from rookery_server.domain import ids
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.models import Profile, Tweet
from rookery_server.domain.tokens import NewerCursor
from rookery_server.metrics import Metrics
from rookery_server.services.calls import Call
from rookery_server.services.live import LiveMessage, LiveSettings, LiveTimelines
from rookery_server.services.tweets import Draft
from rookery_server.store.interface import TweetRow
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.support import virtual_time
from tests.support.hand_clock import HandGate
from tests.support.virtual_time import VirtualTimeLoop
from tests.unit.services.test_on_memory import SHARDS, Server
from tests.unit.services.world import TextCodec

START_MS = 1_700_000_040_000
ALL_DAY = 86_400.0


class LoopTime:
    """The loop's time as a clock."""

    def now_ms(self) -> int:
        return START_MS + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Counted(CacheHooks):
    """Commands by operation."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()

    async def before(self, operation: str, node: str) -> None:
        self.commands[operation] += 1


class Reader:
    """A client that takes messages while its `gate` is open."""

    def __init__(self, live: LiveTimelines, call: Call, position: LiveCursor | NewerCursor | None, known: bool = False):
        self.messages: list[LiveMessage] = []
        self.at: list[float] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._stream = live.stream(call, position, known)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._stream) as messages:
            async for message in messages:
                self.messages.append(message)
                self.at.append(asyncio.get_running_loop().time())
                await self.gate.wait()

    @property
    def ids(self) -> list[int]:
        return [id_ for message in self.messages for id_ in message.tweet_ids]

    @property
    def cursor(self) -> LiveCursor:
        return self.messages[-1].cursor

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


class LiveStage:
    """Two servers with their streams, one worker, three cache nodes with replicas."""

    def __init__(self) -> None:
        self.time, self.gate = LoopTime(), HandGate()
        self.stores = MemoryStoreWorld(self.time, shards=SHARDS)
        self.caches = MemoryCacheWorld(self.time, nodes=3, replicated=True)
        self.one, self.two = Server(self, 1), Server(self, 2)  # type: ignore[arg-type]
        self.looks = Counted()
        self.lives = {server: self.live(server) for server in (self.one, self.two)}
        self._tasks: list[asyncio.Task[None]] = []

    def live(self, server: Server, settings: LiveSettings | None = None) -> LiveTimelines:
        lists = self.caches.client(hooks=self.looks)
        return LiveTimelines(server.home, lists, self.time, self.gate, settings or LiveSettings())

    async def start(self) -> None:
        worker = Worker(
            self.stores.client(), self.caches.client(), self.time, WorkerSettings(), "w", Metrics(),
            choice=random.Random(1),
        )  # fmt: skip
        runs = [worker.run(), *(one.run() for server in (self.one, self.two) for one in (server.claims, server.tiers))]
        self._tasks = [asyncio.create_task(run) for run in runs]
        await asyncio.sleep(20)

    def open(self, user: int, position: LiveCursor | NewerCursor | None = None, server: Server | None = None) -> Reader:
        server = server or self.one
        return Reader(self.lives[server], Call(user, self.time.monotonic() + ALL_DAY), position)

    async def people(self, *names: str) -> list[int]:
        """All of them; the first follows the others."""
        users = [(await self.one.users.create(self.one.call(0), name, Profile())).id for name in names]
        for other in users[1:]:
            await self.one.graph.follow(self.one.call(users[0]), other)
        return users

    async def post(self, author: int, **draft: Any) -> int:
        return (await self.one.tweets.create(self.one.call(author), Draft("x", **draft))).tweet_id

    async def commit_late(self, author: int, tweet_id: int) -> None:
        """A post whose batch comes only now, though its id was minted long ago; its attempt was repeated."""
        body = TextCodec().encode(Tweet(tweet_id, author, "late", ids.time_ms(tweet_id)))
        version = ids.write_timestamp_us(tweet_id)
        event = Event(self.one.mint(), EventKind.POST, author, tweet_id, version, repeat=True)
        await self.stores.client().post(TweetRow(tweet_id, author, body, version), event)

    async def make_pull(self, author: int) -> None:
        """Delivered by nobody any more, merged by everybody."""
        tier = AuthorTier(author, True, self.time.now_ms() - 10_000)
        assert await self.stores.client().set_tier(None, tier) == tier
        await asyncio.sleep(6)


def tell(story: Callable[[LiveStage], Awaitable[None]]) -> None:
    """Runs a story in virtual time."""

    async def staged() -> None:
        stage = LiveStage()
        await stage.start()
        await story(stage)

    virtual_time.run(staged(), VirtualTimeLoop.new())
