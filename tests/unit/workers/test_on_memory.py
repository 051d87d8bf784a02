"""Whole workers over the shipped memory adapters: the same story as the rules, told by the engines' exact models."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from rookery_server.cache.memory.client import MemoryCache
from rookery_server.cache.memory.hooks import CacheHooks
from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.domain import events, ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Edge
from rookery_server.metrics import Metrics
from rookery_server.store.interface import TweetRow
from rookery_server.store.memory.hooks import EVERYWHERE, Commit, StoreHooks
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.unit.workers.world import Time

AUTHOR = 1_000
FOLLOWERS = tuple(range(1, 31))
SHARDS = 4


class Splitting(StoreHooks):
    """Has chosen tables of the next batch show late: at a quorum only when `replay` is called."""

    def __init__(self) -> None:
        self.late: tuple[str, ...] = ()
        self._waiting: list[Callable[[], None]] = []

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        late, self.late = self.late, ()
        return Commit(tuple(() if table in late else EVERYWHERE for table in tables), acked=not late)

    def later(self, apply: Callable[[], None]) -> None:
        self._waiting.append(apply)

    def replay(self) -> None:
        for apply in self._waiting:
            apply()
        self._waiting.clear()


class Dying(CacheHooks):
    """Stands still for ever before the n-th delivery: where the process is then killed."""

    def __init__(self, deliveries: int) -> None:
        self.left = deliveries

    async def before(self, operation: str, node: str) -> None:
        if operation == "deliver":
            self.left -= 1
            if self.left < 0:
                await asyncio.Event().wait()


class Stage:
    def __init__(self) -> None:
        self.time = Time()
        self.splitting = Splitting()
        self.stores = MemoryStoreWorld(self.time, shards=SHARDS)
        self.caches = MemoryCacheWorld(self.time, nodes=3, replicated=True)
        self.store = self.stores.client(hooks=self.splitting)
        self.cache: MemoryCache = self.caches.client()
        self._running: list[asyncio.Task[None]] = []
        self._sequence = 0

    def mint(self) -> int:
        self._sequence += 1
        return ids.compose(self.time.now_ms(), 5, self._sequence % 1000)

    async def worker(self, owner: str, hooks: CacheHooks | None = None) -> tuple[Worker, asyncio.Task[None]]:
        worker = Worker(
            self.stores.client(), self.caches.client(hooks=hooks), self.time, WorkerSettings(follower_page=7), owner,
            Metrics(), sleep=self.time.sleep, choice=random.Random(1),
        )  # fmt: skip
        task = asyncio.create_task(worker.run())
        self._running.append(task)
        await self.time.advance(15)
        return worker, task

    async def kill(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for task in self._running:
            await self.kill(task)

    async def change(self, follower: int, on: bool = True) -> None:
        event_id = self.mint()
        version = ids.write_timestamp_us(event_id)
        kind = EventKind.FOLLOW if on else EventKind.UNFOLLOW
        await self.store.write_edge(
            Edge(follower, AUTHOR, on, version), Event(event_id, kind, follower, AUTHOR, version)
        )

    async def follow_and_settle(self) -> None:
        """Everybody follows; everybody has an empty, whole home list."""
        for follower in FOLLOWERS:
            await self.change(follower)
        await self.time.advance(15)
        await self.build(*FOLLOWERS)

    async def build(self, *followers: int) -> None:
        for follower in followers:
            link = await self.cache.begin_home(follower, -7)
            assert link is not None
            assert await self.cache.finish_home(follower, -7, (), True, 0, link, 0)

    async def post(self, *late: str) -> int:
        tweet_id = self.mint()
        self.splitting.late = late
        event = Event(self.mint(), EventKind.POST, AUTHOR, tweet_id, ids.write_timestamp_us(tweet_id))
        try:
            await self.store.post(TweetRow(tweet_id, AUTHOR, b"body", event.version), event)
        except StoreUnavailable:
            assert late
        return tweet_id

    async def homes(self, *followers: int) -> list[tuple[int, ...]]:
        return [(await self.cache.read_home(follower, 0, 50)).ids for follower in followers or FOLLOWERS]

    async def claim(self) -> int:
        """The lowest W of the author's shard over all nodes."""
        shard = events.shard_of(AUTHOR, SHARDS)
        marks = await self.cache.read_marks()
        return min(mark.marks.get(shard, 0) if mark else 0 for mark in marks.values())


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


async def test_posts_arrive_and_are_claimed(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    tweets = []
    for _ in range(5):
        tweets.append(await stage.post())
        await stage.time.advance(0.3)
    await stage.time.advance(10)
    assert await stage.homes() == [tuple(tweets[::-1])] * len(FOLLOWERS)
    assert 5_000 <= stage.time.now_ms() - await stage.claim() <= 8_000


async def test_an_unfollow_drops_the_list_and_ends_delivery(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    await stage.change(3, on=False)
    await stage.time.advance(3)
    await stage.build(3)
    tweet = await stage.post()
    await stage.time.advance(3)
    assert await stage.homes(2, 3, 4) == [(tweet,), (), (tweet,)]


@pytest.mark.parametrize("late", [("tweets", "user_tweets"), ("user_tweets",), ("outbox",)])
async def test_a_batch_that_commits_table_by_table_is_delivered_once_it_is_whole(
    stage: Stage, late: tuple[str, ...]
) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    tweet = await stage.post(*late)
    await stage.time.advance(20)
    assert await stage.homes() == [()] * len(FOLLOWERS)
    assert ("outbox" in late) == (await stage.claim() > ids.time_ms(tweet)), "an event that is seen holds W"
    stage.splitting.replay()
    await stage.time.advance(120)
    assert await stage.homes() == [(tweet,)] * len(FOLLOWERS)
    assert await stage.claim() > ids.time_ms(tweet)


@pytest.mark.parametrize("deliveries", [0, 1, 6, 8, 17, 29])
async def test_killed_at_any_push_of_a_fan_out_nothing_is_lost_or_doubled(stage: Stage, deliveries: int) -> None:
    dying = Dying(10**9)
    _, task = await stage.worker("a", dying)
    await stage.follow_and_settle()
    dying.left = deliveries
    tweet = await stage.post()
    await stage.time.advance(2)
    assert dying.left < 0
    await stage.kill(task)
    assert await stage.claim() < ids.time_ms(tweet)
    later = await stage.post()
    await stage.worker("b")
    await stage.time.advance(20)
    assert await stage.homes() == [(later, tweet)] * len(FOLLOWERS)
    assert await stage.claim() > ids.time_ms(later)


async def test_a_failover_that_lost_its_last_seconds_is_made_good(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    first = await stage.post()
    await stage.time.advance(10)
    node = stage.caches.node_of(FOLLOWERS[0])
    node.replicating = False
    second = await stage.post()
    await stage.time.advance(10)
    node.kill()
    await stage.time.advance(3)
    third = await stage.post()
    await stage.time.advance(3)
    node.fail_over()
    assert await stage.claim() < ids.time_ms(second)
    await stage.time.advance(15)
    assert await stage.homes() == [(third, second, first)] * len(FOLLOWERS)
    assert await stage.claim() > ids.time_ms(third)


async def test_a_node_that_restarted_empty_claims_again_and_grows_new_lists(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    await stage.post()
    node = stage.caches.node_of(FOLLOWERS[0])
    node.restart_empty()
    await stage.time.advance(10)
    assert stage.time.now_ms() - await stage.claim() < 8_000
    lost = [follower for follower in FOLLOWERS if stage.caches.node_of(follower) is node]
    await stage.build(*lost)
    tweet = await stage.post()
    await stage.time.advance(2)
    assert await stage.homes(*lost) == [(tweet,)] * len(lost)


async def test_a_node_that_stands_still_holds_w_and_gets_everything_afterwards(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    node = stage.caches.node_of(FOLLOWERS[0])
    node.stop()
    tweets = [await stage.post() for _ in range(3)]
    await stage.time.advance(30)
    others = [follower for follower in FOLLOWERS if stage.caches.node_of(follower) is not node]
    assert await stage.homes(*others) == [tuple(tweets[::-1])] * len(others)
    node.resume()
    node.run_backlog()
    await stage.time.advance(15)
    assert await stage.homes() == [tuple(tweets[::-1])] * len(FOLLOWERS)
    assert await stage.claim() > ids.time_ms(tweets[-1])


async def test_two_workers_share_the_log_and_a_drain_hands_over_at_once(stage: Stage) -> None:
    one, task = await stage.worker("a")
    two, _ = await stage.worker("b")
    assert (len(one.shards), len(two.shards)) == (2, 2)
    assert one.shards | two.shards == set(range(SHARDS))
    await stage.follow_and_settle()
    await one.drain()
    await asyncio.gather(task, return_exceptions=True)
    tweet = await stage.post()
    await stage.time.advance(4.5)
    assert len(two.shards) == SHARDS
    assert await stage.homes() == [(tweet,)] * len(FOLLOWERS)


async def test_a_worker_that_died_is_replaced_after_ten_seconds(stage: Stage) -> None:
    _, task = await stage.worker("a")
    two, _ = await stage.worker("b")
    await stage.kill(task)
    await stage.time.advance(8)
    assert len(two.shards) == 2
    await stage.time.advance(8)
    assert len(two.shards) == SHARDS


async def test_the_bell_brings_a_post_before_any_poll(stage: Stage) -> None:
    await stage.worker("a")
    await stage.follow_and_settle()
    tweet_id = stage.mint()
    event = Event(stage.mint(), EventKind.POST, AUTHOR, tweet_id, ids.write_timestamp_us(tweet_id))
    await stage.store.post(TweetRow(tweet_id, AUTHOR, b"body", event.version), event)
    stage.cache.ring(events.shard_of(AUTHOR, SHARDS), events.encode(event))
    await stage.time.advance(0)
    assert await stage.homes() == [(tweet_id,)] * len(FOLLOWERS)
