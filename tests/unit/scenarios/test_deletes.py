"""A scenario of docs/scenarios.md: a delete between the steps of whoever copies the tweet, in every order there is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rookery_server.cache import keys
from rookery_server.cache.memory import CacheHooks, MemoryCache, MemoryCacheWorld
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import NotFound, Unavailable
from rookery_server.domain.events import Event, EventKind, shard_of
from rookery_server.domain.models import Profile, User
from rookery_server.metrics import Metrics
from rookery_server.services.calls import Call
from rookery_server.services.tweets import Draft, Removed
from rookery_server.store.memory import StoreHooks
from rookery_server.workers.apply import Applier
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.pace import Pace
from rookery_server.workers.settings import WorkerSettings
from tests.support.interleaving import Turns, explore
from tests.unit.scenarios.town import Tallied
from tests.unit.services.clocks import START_MS, TestClock
from tests.unit.services.test_on_memory import SHARDS, Server
from tests.unit.workers.world import Unasked

ALICE, BOB = 11, 12
"""Alice follows Bob."""
LONG_MS = 3 * 3_600_000
"""Longer than the mark of a deleted tweet lives."""


@dataclass
class Steps(StoreHooks, CacheHooks):
    """Waits for `who`'s turn before and after the operations named."""

    turns: Turns
    who: str
    ahead: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()

    async def before(self, operation: str, node: str = "") -> None:
        if operation in self.ahead:
            await self.turns.step(self.who)

    async def after(self, operation: str, node: str = "") -> None:
        if operation in self.behind:
            await self.turns.step(self.who)


class Hooked(MemoryCacheWorld):
    """Clients made while `hooks` are set have them."""

    hooks: CacheHooks | None = None

    def client(
        self, clock: Clock | None = None, hooks: CacheHooks | None = None, *, relations_life_s: float | None = None
    ) -> MemoryCache:
        return super().client(clock, hooks or self.hooks, relations_life_s=relations_life_s)


@dataclass
class Scene:
    turns: Turns
    time: TestClock = field(default_factory=TestClock)
    servers: int = 0

    def __post_init__(self) -> None:
        self.stores, self.caches = Tallied(self.time, shards=SHARDS), Hooked(self.time)
        self.caches.adopt()
        for user in (ALICE, BOB):
            self.stores.users[user] = User(user, f"u{user}", Profile(), 0, "1")

    def server(self, who: str = "", ahead: Sequence[str] = (), behind: Sequence[str] = ()) -> Server:
        """With `who`: it waits for turns."""
        self.servers += 1
        steps = Steps(self.turns, who, frozenset(ahead), frozenset(behind)) if who else None
        self.stores.hooks = self.caches.hooks = steps
        server = Server(self, self.servers)  # type: ignore[arg-type]
        self.stores.hooks = self.caches.hooks = None
        return server

    async def begin(self) -> None:
        """Alice follows Bob and has a list, which stands for that."""
        await self.server().graph.follow(self.call(ALICE), BOB)
        version = max(edge.version_us for edge in await self.stores.client().following(ALICE))
        cache = self.caches.client()
        link = await cache.begin_home(ALICE, -7)
        assert link is not None
        assert await cache.finish_home(ALICE, -7, (), True, version, link, self.time.now_ms())

    def call(self, user: int) -> Call:
        return Call(user, self.time.monotonic() + 1e6)

    async def the_tweet(self) -> int:
        (found,) = (await self.stores.client().user_tweet_ids(BOB, None, 2)).ids
        return found

    async def delete(self, server: Server, tweet: int) -> Removed:
        return await server.tweets.delete(self.call(BOB), tweet)

    async def worker(self, who: str = "", ahead: Sequence[str] = ()) -> Applier:
        steps = Steps(self.turns, who, frozenset(ahead))
        store, cache = self.stores.client(hooks=steps), self.caches.client(hooks=steps)
        fleet = Fleet(cache)
        await fleet.refresh()
        all_push = SimpleNamespace(row=lambda author_id: None)
        pace, settings = Pace(self.time), WorkerSettings()
        return Applier(store, cache, fleet, all_push, self.time, pace, settings, Metrics(), random.Random(1))

    async def events(self, kind: EventKind) -> list[Event]:
        store, now_ms = self.stores.client(), self.time.now_ms()
        shard, minute_ms = shard_of(BOB, SHARDS), 60_000
        rows = [
            row
            for moment in sorted({START_MS, now_ms})
            for row in await store.read(shard, moment - minute_ms, moment + minute_ms)
        ]
        return [row.event for row in rows if row.event is not None and row.event.kind is kind]

    async def nothing_is_visible(self, tweet: int) -> None:
        assert not self.caches.node_of(tweet).get(keys.body(tweet)), "a copy of the text is left"
        server = self.server()
        with pytest.raises(NotFound):
            await server.tweets.get(self.call(ALICE), tweet)
        assert tweet not in (await server.home.page(self.call(ALICE), 20)).tweet_ids
        assert tweet not in (await server.profiles.page(self.call(ALICE), BOB, 20)).tweet_ids

    async def judge(self, tweet: int, removed: object) -> None:
        """At once if it was settled, and in any case when its event is applied."""
        if isinstance(removed, Removed):
            assert removed.settled
            await self.nothing_is_visible(tweet)
        else:
            assert isinstance(removed, Unavailable)
        for event in await self.events(EventKind.DELETE):
            await apply(await self.worker(), event)
            await self.nothing_is_visible(tweet)


async def apply(worker: Applier, event: Event) -> None:
    await worker.apply(event, in_place=True, again=False, orders=Unasked())


async def test_scenario_11_a_delete_during_a_slow_fill_and_a_slow_post_leaves_nothing_visible() -> None:
    """The poster stalls before it fills the caches, a reader between its read and its fill, the deleter before its
    batch and before its mark; and at some moment hours pass."""
    settled = 0

    async def play(turns: Turns, choices: Sequence[str]) -> None:
        nonlocal settled
        scene = Scene(turns)
        await scene.begin()
        posting = asyncio.create_task(
            scene.server("post", behind=["post"]).tweets.create(scene.call(BOB), Draft("to be deleted"))
        )
        for _ in range(50):  # until it stalls behind its batch
            await asyncio.sleep(0)
        tweet = await scene.the_tweet()
        reading = scene.server("fill", ["get_tweets"], ["get_tweets"])
        deleting = scene.server("delete", ["delete", "mark_deleted"])

        async def hours() -> None:
            await turns.step("hours")
            scene.time.advance(LONG_MS)

        answers = await turns.play(
            {
                "fill": reading.tweets.get(scene.call(ALICE), tweet),
                "delete": scene.delete(deleting, tweet),
                "hours": hours(),
            },
            choices,
        )
        await asyncio.gather(posting, return_exceptions=True)
        assert isinstance(answers["fill"], bytes | NotFound)
        await scene.judge(tweet, answers["delete"])
        settled += isinstance(answers["delete"], Removed)

    runs = await explore(play)
    assert runs >= 6 * 5 * 4 * 3 * 2 // (2 * 2)
    assert settled > runs // 4


async def test_scenario_11_a_delete_during_fan_out_leaves_nothing_visible() -> None:
    """Between any two steps of the worker, while a follower's page is being filled."""
    shown = 0

    async def play(turns: Turns, choices: Sequence[str]) -> None:
        nonlocal shown
        scene = Scene(turns)
        await scene.begin()
        tweet = (await scene.server().tweets.create(scene.call(BOB), Draft("to be deleted"))).tweet_id
        scene.caches.node_of(tweet).delete(keys.body(tweet))
        (posted,) = await scene.events(EventKind.POST)
        worker = await scene.worker("work", ["user_tweet", "place_author", "followers", "deliver"])
        looking = scene.server("look", ["read_home", "get_bodies"], ["get_tweets"])
        deleting = scene.server("delete", ["delete", "mark_deleted"])
        answers = await turns.play(
            {
                "work": apply(worker, posted),
                "look": looking.home.page(scene.call(ALICE), 20),
                "delete": scene.delete(deleting, tweet),
            },
            choices,
        )
        assert answers["work"] is None
        shown += tweet in cast(Any, answers["look"]).tweet_ids
        assert isinstance(answers["delete"], Removed)
        await scene.judge(tweet, answers["delete"])

    assert await explore(play) > 80
    assert shown, "in some orders the page was made before the delete"
