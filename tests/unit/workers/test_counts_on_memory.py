"""Counts over the exact model of the engine: torn and late batches, reads of two of three replicas, skewed clocks,
workers that die and hand over.  A minute after quiet every count equals the rows (N3 to N6 of docs/protocols/count.md).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Block, Edge
from rookery_server.metrics import Metrics
from rookery_server.store.interface import CountKind, TweetRow
from rookery_server.store.memory.hooks import EVERYWHERE, Commit, StoreHooks
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.unit.workers.world import Time

SETTINGS = WorkerSettings(audit_ages_s=(5, 15, 30, 60), late_print_after_s=5.0, count_after_s=20.0, count_within_s=20.0)
"""Counted so late that the log's own position is past most events by then."""
PEOPLE = range(1, 7)


class Rough(StoreHooks):
    """Any two of three replicas answer; with `torn` > 0 statements of batches reach any of them, and the rest later."""

    def __init__(self, choice: random.Random, time: Time, torn: float = 0.0) -> None:
        self._choice, self._time, self.torn = choice, time, torn
        self.waiting: list[Callable[[], None]] = []

    def asked(self, operation: str) -> tuple[int, ...]:
        first, second = self._choice.sample(EVERYWHERE, 2)
        return first, second

    async def before(self, operation: str) -> None:
        if operation in ("recount", "write_count"):
            await self._time.sleep(self._choice.random() * 2)

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        if self._choice.random() >= self.torn:
            missing = self._choice.choice(EVERYWHERE)
            return Commit(tuple(tuple(set(EVERYWHERE) - {missing}) for _ in tables))
        some = tuple(tuple(self._choice.sample(EVERYWHERE, self._choice.randrange(4))) for _ in tables)
        return Commit(some, acked=False)

    def later(self, apply: Callable[[], None]) -> None:
        self.waiting.append(apply)

    def replay(self, share: float = 1.0) -> None:
        due = [apply for apply in self.waiting if self._choice.random() < share]
        self.waiting = [apply for apply in self.waiting if apply not in due]
        for apply in due:
            apply()


class Off:
    """A process's clock, within the bound of all clocks."""

    def __init__(self, time: Time, off_ms: int) -> None:
        self._time, self._off_ms = time, off_ms

    def now_ms(self) -> int:
        return self._time.now_ms() + self._off_ms

    def monotonic(self) -> float:
        return self._time.monotonic()


class History:
    def __init__(self, seed: int) -> None:
        self.choice, self.time = random.Random(seed), Time()
        self.stores = MemoryStoreWorld(self.time, shards=2)
        self.caches = MemoryCacheWorld(self.time)
        self.hooks = [Rough(self.choice, self.time, torn=0.15)]
        self.store = self.stores.client(hooks=self.hooks[0])
        self.running: list[tuple[Worker, asyncio.Task[None]]] = []
        self.tweets: list[TweetRow] = []
        self._sequence = 0

    async def start(self) -> None:
        clock: Clock = Off(self.time, self.choice.choice((-900, 0, 900)))
        self.hooks.append(Rough(self.choice, self.time))
        worker = Worker(
            self.stores.client(clock, self.hooks[-1]), self.caches.client(clock), clock, SETTINGS,
            f"w{len(self.hooks)}", Metrics(), sleep=self.time.sleep, choice=random.Random(self.choice.random()),
        )  # fmt: skip
        self.running.append((worker, asyncio.create_task(worker.run())))
        await self.time.advance(4)

    async def end_one(self) -> None:
        worker, task = self.running.pop(self.choice.randrange(len(self.running)))
        if self.choice.random() < 0.4:
            leaving = asyncio.create_task(worker.drain())
            await self.time.advance(3)
            await leaving
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for _, task in self.running:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.running), return_exceptions=True)

    def mint(self) -> int:
        self._sequence += 1
        return ids.compose(self.time.now_ms(), 9, self._sequence % 1000)

    async def somebody_does_something(self) -> None:
        one, other = self.choice.sample(PEOPLE, 2)
        event_id = self.mint()
        version = ids.write_timestamp_us(event_id)
        try:
            match self.choice.randrange(6):
                case 0 | 1 | 2:
                    on = self.choice.random() < 0.7
                    kind = EventKind.FOLLOW if on else EventKind.UNFOLLOW
                    await self.store.write_edge(
                        Edge(one, other, on, version), Event(event_id, kind, one, other, version)
                    )
                case 3:
                    self.tweets.append(TweetRow(self.mint(), one, b"x", version))
                    event = Event(event_id, EventKind.POST, one, self.tweets[-1].tweet_id, version)
                    await self.store.post(self.tweets[-1], event)
                case 4 if self.tweets:
                    tweet = self.tweets.pop()
                    event = Event(event_id, EventKind.DELETE, tweet.author_id, tweet.tweet_id, version)
                    await self.store.delete(tweet.tweet_id, tweet.author_id, event)
                case _:
                    on = self.choice.random() < 0.5
                    kind = EventKind.BLOCK if on else EventKind.UNBLOCK
                    await self.store.write_block(
                        Block(one, other, on, version), Event(event_id, kind, one, other, version)
                    )
        except StoreUnavailable:
            return  # unknown: it commits late, or what was torn is replayed

    async def assert_exact(self) -> None:
        clean = self.stores.client()
        stored = await clean.counts(list(PEOPLE))
        for person in PEOPLE:
            for kind in CountKind:
                parts = {0} if kind is not CountKind.TWEETS else {self.mint() >> 53}
                truth = sum([await clean.recount(person, kind, part) for part in parts])
                shown = sum(count.value for count in stored.get(person, ()) if count.kind is kind)
                assert shown == truth, (person, kind)


@pytest.mark.parametrize("seed", range(8))
async def test_count_N5_whatever_happens_a_minute_after_quiet_counts_are_exact(seed: int) -> None:
    history = History(seed)
    try:
        await history.start()
        await history.start()
        for _ in range(4):
            for _ in range(history.choice.randrange(3, 12)):
                for _ in range(3):
                    await history.somebody_does_something()
                for hooks in history.hooks:
                    hooks.replay(0.1)
                await history.time.advance(1)
            await history.time.advance(history.choice.randrange(20))
            await history.end_one()
            await history.start()
        for hooks in history.hooks:
            hooks.replay()
        await history.time.advance(150)  # the last audit of the last window, and a minute
        for hooks in history.hooks:
            hooks.replay()
        await history.assert_exact()
    finally:
        await history.close()
