"""The services and whole workers over the shipped memory adapters: the same promises on the engines' exact models."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import HistoryRead
from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.domain import events, ids
from rookery_server.domain.errors import NotFound
from rookery_server.domain.fanout import AuthorTier, Crossing, Thresholds
from rookery_server.domain.limits import HOME_KEPT, REREAD_MS, WATERMARK_LAG_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.models import Profile
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.metrics import Metrics
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.accounts import Accounts
from rookery_server.services.admin import Admin
from rookery_server.services.calls import Call
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.graph import Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.hydrate import Hydration
from rookery_server.services.pages import PageSource, TimelinePage
from rookery_server.services.quotas import LocalQuotas
from rookery_server.services.sight import Sight
from rookery_server.services.skeleton import Skeletons
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tweets import Draft, Posted, Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.writes import StartedWrites
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.support.hand_clock import HandGate
from tests.unit.services.world import TextCodec
from tests.unit.workers.world import Time

SHARDS = 4


class Server:
    """One process of the services, with its own clients."""

    def __init__(self, stage: Stage, worker_id: int):
        self._stage, self._worker_id, self._last = stage, worker_id, 0
        store, cache, time = stage.stores.client(), stage.caches.client(), stage.time
        known, codec, quotas = KnownUsers(store), TextCodec(), LocalQuotas(time)
        writes, hydration = StartedWrites(time, self.mint), Hydration(store, cache)
        self.claims = ClaimTracker(cache, SHARDS, time, HandGate())
        self.accounts = Accounts(store, cache, time)
        self.tiers = TierDirectory(store, time)
        sight = Sight(store, cache, time, self.accounts, self.tiers)
        skeletons = Skeletons(store, cache, time, self.mint, self.claims, self.tiers)
        self.changes = AccountChanges(store, cache, time, self.mint, writes, sleep=time.sleep)
        self.users = Users(store, time, self.mint, known, self.accounts, self.changes, quotas, writes)
        self.tweets = Tweets(store, cache, time, self.mint, codec, hydration, sight, quotas, writes)
        self.graph = Graph(store, cache, time, self.mint, known, sight, quotas, writes)
        self.home = HomeTimelines(skeletons, time, codec, hydration, sight.facts)
        self.profiles = UserTimelines(store, time, codec, known, sight, self.claims)
        self.admin = Admin(store, cache, time, "fanout", [f"shard/{n}" for n in range(SHARDS)], [])

    def mint(self) -> int:
        self._last = max(self._last + 1, ids.compose(self._stage.time.now_ms(), self._worker_id, 0))
        return self._last

    def call(self, user: int) -> Call:
        return Call(user, self._stage.time.monotonic() + 2, bulk=True)

    async def post(self, author: int, text: str = "x") -> Posted:
        return await self.tweets.create(self.call(author), Draft(text))

    async def page(
        self,
        user: int,
        size: int = 20,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> TimelinePage:
        return await self.home.page(self.call(user), size, position, token)

    async def scroll(self, user: int, size: int = 20) -> list[int]:
        shown: list[int] = []
        page = await self.page(user, size)
        while True:
            shown.extend(page.tweet_ids)
            if page.next_cursor is None:
                return shown
            page = await self.page(user, size, page.next_cursor)


class Stage:
    """Two servers, one worker, three cache nodes with replicas."""

    def __init__(self) -> None:
        self.time = Time()
        self.stores = MemoryStoreWorld(self.time, shards=SHARDS)
        self.caches = MemoryCacheWorld(self.time, nodes=3, replicated=True)
        self.one, self.two = Server(self, 1), Server(self, 2)
        self._tasks: list[asyncio.Task[None]] = []
        self.settings = WorkerSettings()
        self.live: dict[int, set[int]] = {}
        self.following: dict[int, set[int]] = {}
        self.gone: set[int] = set()
        """Tweets whose delete was settled."""
        self.left: set[tuple[int, int]] = set()
        """Pairs whose unfollow was settled."""

    async def start(self) -> None:
        worker = Worker(
            self.stores.client(), self.caches.client(), self.time, self.settings, "w", Metrics(),
            sleep=self.time.sleep, choice=random.Random(1),
        )  # fmt: skip
        self._tasks.append(asyncio.create_task(worker.run()))
        await self.pass_time(15)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        await self.time.advance(seconds)
        for server in (self.one, self.two):
            await server.claims.refresh()
            await server.tiers.refresh()

    async def user(self, name: str) -> int:
        user = (await self.one.users.create(Call(0, self.time.monotonic() + 2), name, Profile())).id
        self.live[user], self.following[user] = set(), set()
        return user

    async def follow(self, follower: int, followee: int) -> ConsistencyToken:
        self.following[follower].add(followee)
        self.left.discard((follower, followee))
        return (await self.one.graph.follow(self.one.call(follower), followee)).token

    async def unfollow(self, follower: int, followee: int) -> None:
        changed = await self.one.graph.unfollow(self.one.call(follower), followee)
        self.following[follower].discard(followee)
        if changed.settled:
            self.left.add((follower, followee))

    async def post(self, author: int) -> int:
        tweet = (await self.one.post(author)).tweet_id
        self.live[author].add(tweet)
        return tweet

    def truth(self, user: int) -> list[int]:
        return sorted(set().union(*(self.live[author] for author in self.following[user] | {user})), reverse=True)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.start()
    yield stage
    await stage.close()


async def test_a_post_reaches_its_followers_list_and_is_claimed(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    assert (await stage.two.page(alice)).info.source is PageSource.BUILD
    tweet = await stage.post(bob)
    await stage.pass_time(1)
    page = await stage.two.page(alice)
    assert page.info.source is PageSource.LIST
    assert page.tweet_ids == (tweet,)
    await stage.pass_time(9)
    page = await stage.two.page(alice)
    assert ids.time_ms(tweet) < page.info.complete_through_ms
    assert 5_000 <= stage.time.now_ms() - page.info.complete_through_ms <= 8_000
    assert page.info.end_of_history
    assert not page.info.degraded


async def test_own_posts_and_tokens_are_seen_by_every_server_at_once(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    await stage.two.page(alice)
    await stage.two.page(bob)
    posted = await stage.one.post(bob)
    assert (await stage.two.page(bob)).tweet_ids == (posted.tweet_id,)
    assert (await stage.two.page(alice, token=posted.token)).tweet_ids == (posted.tweet_id,)


async def test_a_settled_delete_is_gone_on_every_path(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    kept, gone = await stage.post(bob), await stage.post(bob)
    await stage.pass_time(1)
    await stage.two.page(alice)
    removed = await stage.one.tweets.delete(stage.one.call(bob), gone)
    assert removed.settled
    assert (await stage.two.page(alice)).tweet_ids == (kept,)
    assert (await stage.two.profiles.page(stage.two.call(0), bob, 20)).tweet_ids == (kept,)
    with pytest.raises(NotFound):
        await stage.two.tweets.get(stage.two.call(alice), gone)


async def test_unfollow_and_follow_again(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    tweet = await stage.post(bob)
    assert (await stage.two.page(alice)).tweet_ids == (tweet,)
    await stage.unfollow(alice, bob)
    assert (await stage.two.page(alice)).tweet_ids == ()
    token = await stage.follow(alice, bob)
    assert (await stage.two.page(alice, token=token)).tweet_ids == (tweet,)
    await stage.pass_time(5)
    assert (await stage.two.page(alice)).tweet_ids == (tweet,)


async def test_a_deep_scroll_goes_on_below_the_list(stage: Stage) -> None:
    alice, bob, carol = [await stage.user(name) for name in ("alice", "bob", "carol")]
    await stage.follow(alice, bob)
    await stage.follow(alice, carol)
    for at in range(HOME_KEPT + 150):
        await stage.post(bob if at % 9 else carol)
        if at % 20 == 0:
            await stage.time.advance(4)
    await stage.pass_time(15)
    assert await stage.two.scroll(alice, 50) == stage.truth(alice)
    newest = await stage.post(bob)
    await stage.pass_time(10)
    assert (await stage.one.scroll(alice, 100))[0] == newest


async def test_an_author_becomes_pull(stage: Stage) -> None:
    stage.settings = WorkerSettings(thresholds=Thresholds(broad_from=1, pull_from=1))
    await stage.close()
    await stage.start()
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    before = await stage.post(bob)
    await stage.pass_time(60)  # Bob's follower is counted
    truth = stage.stores.client()
    (announced,) = await truth.tiers()
    assert (announced.author_id, announced.pull) == (bob, True)
    both = await stage.post(bob)
    await stage.pass_time(12)
    page = await stage.one.page(alice)
    assert page.tweet_ids == (both, before)
    assert page.info.complete_through_ms > ids.time_ms(both)
    # The hours in between are of no interest: the row as it would be after them.
    over = AuthorTier(bob, True, stage.time.now_ms())
    assert await truth.set_tier(announced, over) == over
    await stage.pass_time(Crossing().directory_s + 1)
    merged = await stage.post(bob)
    await stage.pass_time(12)
    entries = stage.caches.node_of(alice).get(keys.home(alice))
    assert isinstance(entries, tuple)
    assert merged not in entries
    for server in (stage.one, stage.two):
        page = await server.page(alice)
        assert page.info.source is PageSource.LIST
        assert page.tweet_ids == (merged, both, before)
        assert page.info.complete_through_ms > ids.time_ms(merged)


async def test_below_the_list_pages_come_out_of_one_merge(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    for at in range(HOME_KEPT + 100):
        await stage.post(bob)
        if at % 20 == 0:
            await stage.time.advance(4)
    await stage.pass_time(15)
    assert await stage.one.scroll(alice, 50) == stage.truth(alice)
    kept = stage.caches.node_of(alice).get(keys.history(alice))
    assert isinstance(kept, HistoryRead)
    assert await stage.two.scroll(alice, 50) == stage.truth(alice)
    assert stage.caches.node_of(alice).get(keys.history(alice)) is kept
    await stage.unfollow(alice, bob)
    assert stage.caches.node_of(alice).get(keys.history(alice)) is None


async def test_the_cache_gone_and_back(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    await stage.two.page(alice)
    for node in stage.caches.nodes.values():
        node.kill()
    await stage.pass_time(1)
    for _ in range(5):
        await stage.post(bob)
    page = await stage.two.page(alice)
    assert list(page.tweet_ids) == stage.truth(alice)
    assert page.info.degraded
    assert page.info.complete_through_ms == stage.time.now_ms() - WATERMARK_LAG_MS
    for node in stage.caches.nodes.values():
        node.restart_empty()
    for _ in range(5):
        await stage.post(bob)
    await stage.pass_time(20)
    page = await stage.two.page(alice)
    assert list(page.tweet_ids) == stage.truth(alice)
    assert not page.info.degraded


async def test_the_operators_view(stage: Stage) -> None:
    bob = await stage.user("bob")
    await stage.post(bob)
    await stage.pass_time(20)
    outbox, shards = await stage.one.admin.outbox(), await stage.one.admin.shards()
    assert (outbox.shards, outbox.held, outbox.dead) == (SHARDS, SHARDS, ())
    assert [status.shard for status in shards] == list(range(SHARDS))
    assert all(status.lease is not None and status.lease.owner == "w" for status in shards)
    assert all(status.checkpoint_ms <= (status.watermark_ms or 0) for status in shards)
    marks = await stage.one.admin.watermarks()
    assert set(marks.nodes) == set(stage.caches.nodes)
    assert marks.claim_ms == min(status.watermark_ms or 0 for status in shards)
    assert [lease.name for lease in await stage.one.admin.leases()] == [f"shard/{n}" for n in range(SHARDS)]


async def test_delivery_D10_no_page_claims_what_a_dead_letter_may_have_concerned(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.follow(alice, bob)
    await stage.two.page(alice)
    encode = events.encode
    with monkeypatch.context() as newer_release:
        newer_release.setattr(events, "encode", lambda event: b"\x09" + encode(event)[1:])
        lost = await stage.post(bob)
    await stage.pass_time(60)
    delivered = await stage.post(bob)
    await stage.pass_time(60)
    page = await stage.two.page(alice)
    assert list(page.tweet_ids) == [delivered], "it was never delivered"
    assert page.info.complete_through_ms is not None
    assert page.info.complete_through_ms < ids.time_ms(lost)
    assert page.info.degraded
    (letter,) = (await stage.one.admin.outbox()).dead
    for node in stage.caches.nodes.values():
        node.restart_empty()
    await stage.pass_time(20)
    with pytest.raises(NotFound):
        await stage.one.admin.release([letter.event_id, letter.event_id + 1])
    assert (await stage.one.admin.outbox()).released == frozenset()
    await stage.one.admin.release([letter.event_id])
    assert (await stage.one.admin.outbox()).released == {letter.event_id}
    await stage.pass_time(10)
    page = await stage.two.page(alice)
    assert list(page.tweet_ids) == [delivered, lost]
    assert (page.info.complete_through_ms or 0) > ids.time_ms(delivered)
    assert not page.info.degraded


@pytest.mark.parametrize("seed", range(10))
async def test_random_lives_with_faults(stage: Stage, seed: int) -> None:
    """Posts, edges, deletes and pages by two servers, while nodes fail over, stop, lose all: what a page claims, it
    has; what it shows is true; nothing shows twice; and in the end everything is there."""
    dice = random.Random(seed)
    people = [await stage.user(f"u{at}") for at in range(6)]
    for _ in range(120):
        await _deed(stage, dice, people)
    for node in stage.caches.nodes.values():
        node.replicate()
    await stage.pass_time(40)
    for person in people:
        assert await stage.one.scroll(person, 7) == stage.truth(person)
        page = await stage.two.page(person)
        assert not page.info.degraded


async def _deed(stage: Stage, dice: random.Random, people: list[int]) -> None:
    one, other = dice.sample(people, 2)
    kind = dice.choices(
        ["post", "follow", "unfollow", "delete", "time", "read", "lag", "fail over", "empty"],
        [40, 6, 2, 3, 20, 30, 2, 1, 1],
    )[0]
    node = dice.choice(list(stage.caches.nodes.values()))
    if kind == "post":
        for _ in range(dice.choice([1, 1, 20])):
            await stage.post(one)
    elif kind == "follow":
        await stage.follow(one, other)
    elif kind == "unfollow":
        await stage.unfollow(one, other)
    elif kind == "delete" and stage.live[one]:
        tweet = dice.choice(sorted(stage.live[one]))
        removed = await stage.one.tweets.delete(stage.one.call(one), tweet)
        stage.live[one].discard(tweet)
        if removed.settled:
            stage.gone.add(tweet)
    elif kind == "time":
        await stage.pass_time(dice.choice([0.1, 1, 7]))
    elif kind == "lag":
        if node.replicating:
            node.replicating = False
        else:
            node.replicate()
    elif kind == "fail over":
        node.kill()
        await stage.time.advance(dice.choice([0, 2]))
        node.fail_over()
    elif kind == "empty":
        node.restart_empty()
    elif kind == "read":
        await _read(stage, dice, one)


async def _read(stage: Stage, dice: random.Random, user: int) -> None:
    server, size = dice.choice([stage.one, stage.two]), dice.choice([1, 5, 50])
    position: PageCursor | None = None
    top = BEYOND
    for _ in range(dice.choice([1, 4, 500])):
        page = await server.page(user, size, position)
        bottom = page.next_cursor.last_id if page.next_cursor else 0
        assert list(page.tweet_ids) == sorted(set(page.tweet_ids), reverse=True)
        claimed = {
            id_ for id_ in stage.truth(user)
            if bottom <= id_ < top and ids.time_ms(id_) <= page.info.complete_through_ms
        }  # fmt: skip
        assert claimed <= set(page.tweet_ids), page.info
        assert all(bottom <= id_ < top for id_ in page.tweet_ids)
        assert not stage.gone & set(page.tweet_ids)
        assert not stage.left & {(user, author) for author in page.author_ids}
        if page.next_cursor is None:
            break
        position, top = page.next_cursor, bottom


def test_the_reach_of_a_poll_is_what_a_newer_cursor_repeats() -> None:
    assert REREAD_MS > WATERMARK_LAG_MS
