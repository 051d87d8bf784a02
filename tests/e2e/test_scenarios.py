"""Public failures of systems people use, each shown not to happen here: docs/scenarios.md lists all twenty.

These run on a stack of their own, because they stop parts of it.  Borders and times of tier changes are shrunk: six
followers are *pull*, and a change of tiers takes seconds.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster

from rookery import Client, errors
from rookery.v1 import admin_pb2
from rookery_server.cache import keys
from rookery_server.cli.sources import made_up
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.node import ValkeyNode
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.change_run import Plan, change_run
from tests.support.engines import SpecialStacks
from tests.support.readers import now_ms
from tests.support.real_run import await_claim, load
from tests.support.seeding import Seeding

PULL_FROM = 6
SETTINGS = {
    "ROOKERY_QUOTAS__TWEETS_PER_3H": "1000000",
    "ROOKERY_QUOTAS__FOLLOWS_PER_DAY": "1000000",
    "ROOKERY_WORK__FOLLOWER_PAGE": "500",
    "ROOKERY_TIERS__BROAD_FROM": "4",
    "ROOKERY_TIERS__PULL_FROM": str(PULL_FROM),
    "ROOKERY_TIERS__RELATIONS_LIFE_S": "2",
    "ROOKERY_TIERS__DIRECTORY_S": "0.5",
    "ROOKERY_TIERS__DIRECTORY_MAX_AGE_S": "2",
    "ROOKERY_TIERS__ANNOUNCE_S": "5",
    "ROOKERY_TIERS__REBUILD_AFTER_S": "3",
    "ROOKERY_TIERS__MERGE_S": "10",
}
CALL_S = 10.0
DAY_MS = 86_400_000


@dataclass(slots=True)
class Town:
    """Two servers, a worker, and the ways past them: straight into the store and the cache."""

    stack: Stack
    installation: Installation
    servers: list[Service]
    client: Client
    second: Client
    seeding: Seeding
    cache: RedisCluster
    workers: list[Service] = field(default_factory=list)
    accounts: int = 0

    def start_worker(self) -> Service:
        self.workers.append(self.installation.start_worker(f"work-{len(self.workers) + 1}"))
        return self.workers[-1]

    async def person(self, *follows: int) -> int:
        self.accounts += 1
        id_ = (await self.client.create_user(f"p{self.accounts}", timeout_s=CALL_S)).user.id
        for whom in follows:
            await self.client.acting_as(id_).follow(whom, timeout_s=CALL_S)
        return id_

    async def posts(self, author: int, count: int, quoted_id: int = 0, in_reply_to_id: int = 0) -> list[int]:
        """One after the other, the oldest first."""
        acting, made = self.client.acting_as(author), list[int]()
        for number in range(count):
            reply = await acting.create_tweet(
                f"number {number}", quoted_id=quoted_id, in_reply_to_id=in_reply_to_id, timeout_s=CALL_S
            )
            made.append(reply.tweet.id)
        return made

    async def import_posts(self, author: int, moments_ms: Sequence[int]) -> list[int]:
        """Tweets of the past under ids of their time, as an import would bring them, the oldest first."""
        return sorted([await self.seeding.post(author, moment) for moment in moments_ms])

    async def claimed(self, reader: int) -> None:
        """Until a page claims everything up to now."""
        await await_claim(self.client.acting_as(reader), now_ms())

    async def home(self, reader: int, page_size: int = 100, client: Client | None = None) -> list[int]:
        acting = (client or self.client).acting_as(reader)
        return [tweet.id async for tweet in acting.home_timeline(page_size=page_size)]

    async def forget(self, *names: bytes) -> None:
        for name in names:
            await self.cache.delete(name)


@pytest.fixture(scope="module")
def own_stack(special_stacks: SpecialStacks) -> Iterator[Stack]:
    with special_stacks(StackSpec(name="scenarios", durable=False, throwaway=True)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def town(own_stack: Stack) -> AsyncIterator[Town]:
    installation = Installation(own_stack, settings=SETTINGS)
    await asyncio.to_thread(installation.migrate)
    servers = [await asyncio.to_thread(installation.start_server, f"serve-{n}") for n in (1, 2)]
    told = CassandraSettings(own_stack.cassandra_contact_points, own_stack.cassandra_port, "rookery", write_s=5.0)
    store = await CassandraStore.open(told, Metrics(), SystemClock())
    nodes = [ClusterNode(host, port) for host, port in own_stack.valkey_nodes]
    async with (
        Client(servers[0].target, connections=2) as client,
        Client(servers[1].target, connections=2) as second,
        RedisCluster(startup_nodes=nodes) as cache,
    ):
        town = Town(own_stack, installation, servers, client, second, Seeding(store), cache)
        await asyncio.to_thread(town.start_worker)
        yield town
    await store.close()


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> float:
    started = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  (only asking again can tell)
            await asyncio.sleep(0.1)
    return time.monotonic() - started


@contextmanager
def standing_still(nodes: Sequence[ValkeyNode]) -> Iterator[None]:
    for node in nodes:
        node.stop_signal()
    try:
        yield
    finally:
        for node in nodes:
            node.cont()


async def test_scenario_01_posts_made_while_the_cache_is_off_are_all_there_in_order(town: Town) -> None:
    author = await town.person()
    reader = await town.person(author)
    await town.claimed(reader)
    for node in town.stack.valkey:
        await asyncio.to_thread(node.kill)
    off = await town.posts(author, 5)
    page = await town.client.acting_as(reader).home_page(timeout_s=CALL_S)
    assert page.info.degraded
    assert [tweet.id for tweet in page.tweets] == off[::-1]
    for node in town.stack.valkey:
        await asyncio.to_thread(node.restart)
    on = await town.posts(author, 5)
    await town.claimed(reader)
    assert await town.home(reader) == [*on[::-1], *off[::-1]]
    assert await town.home(reader, client=town.second) == [*on[::-1], *off[::-1]]


async def test_scenario_02_two_sources_of_different_depth_are_merged_without_a_skip(town: Town) -> None:
    deep, shallow = await town.person(), await town.person()
    now = now_ms()
    of_deep = await town.import_posts(deep, [now - 60_000 - n * 7_000 for n in range(950)])
    of_shallow = await town.import_posts(shallow, [now - 60_000 - n * 1_100_000 for n in range(12)])
    reader = await town.person(deep, shallow)
    await town.claimed(reader)
    expected = sorted([*of_deep, *of_shallow], reverse=True)
    assert await town.home(reader) == expected, "with the list just built"
    assert await town.home(reader, 37) == expected, "from the list, and below it"
    await town.forget(keys.author(deep), keys.history(reader))
    assert await town.home(reader, 100, town.second) == expected, "with one source not cached"


async def test_scenario_03_a_page_of_nothing_but_hidden_tweets_leads_on(town: Town) -> None:
    loud, quiet = await town.person(), await town.person()
    reader = await town.person(loud, quiet)
    old = await town.posts(quiet, 3)
    await asyncio.gather(*(town.posts(loud, 60) for _ in range(10)))
    await town.client.acting_as(reader).mute(loud, timeout_s=CALL_S)
    await town.claimed(reader)
    seen, token, pages = list[int](), "", 0
    while True:
        page = await town.client.acting_as(reader).home_page(page_size=20, page_token=token, timeout_s=CALL_S)
        seen, token, pages = [*seen, *(tweet.id for tweet in page.tweets)], page.next_page_token, pages + 1
        assert page.tweets or token or page.info.end_of_history
        assert bool(token) != page.info.end_of_history
        if not token:
            break
    assert seen == old[::-1]
    assert pages < 40


async def test_scenario_04_a_thousand_tweets_of_one_instant_show_once_each(town: Town) -> None:
    author = await town.person()
    moment = now_ms() - 3_600_000
    made = await town.import_posts(author, [moment] * 1000)
    assert len({id_ >> 22 for id_ in made}) == 1
    reader = await town.person(author)
    await town.claimed(reader)
    assert await town.home(reader, 33) == made[::-1]
    profile = [tweet.id async for tweet in town.client.user_timeline(author, page_size=77)]
    assert profile == made[::-1]


async def test_scenario_06_whoever_returns_after_a_year_gets_a_full_first_page_in_one_call(town: Town) -> None:
    authors = [await town.person() for _ in range(8)]
    for author in authors:
        await town.posts(author, 4)
    reader = await town.person(*authors)
    await town.claimed(reader)
    everything = [keys.home(reader), keys.home_meta(reader), keys.relations(reader), keys.history(reader)]
    await town.forget(*everything, *(keys.author(author) for author in authors))
    page = await town.client.acting_as(reader).home_page(page_size=20, timeout_s=CALL_S)
    assert len(page.tweets) == 20
    assert page.info.complete_through.ToMilliseconds() > now_ms() - 20_000
    assert not page.info.degraded


async def test_scenario_07_nothing_new_and_behind_look_different(town: Town) -> None:
    author = await town.person()
    reader = await town.person(author)
    await town.posts(author, 3)
    await town.claimed(reader)
    acting = town.client.acting_as(reader)
    token = (await acting.home_page(timeout_s=CALL_S)).newer_token

    async def quiet() -> bool:
        nonlocal token
        page = await acting.home_page(newer_token=token, timeout_s=CALL_S)
        token = page.newer_token
        return not page.tweets and not page.info.degraded

    await eventually(quiet)
    await asyncio.to_thread(town.workers.pop().node.kill)

    async def behind() -> bool:
        page = await acting.home_page(newer_token=token, timeout_s=CALL_S)
        return page.info.degraded and now_ms() - page.info.complete_through.ToMilliseconds() > 20_000

    await eventually(behind)
    late = await town.posts(author, 1)
    await asyncio.to_thread(town.start_worker)
    await town.claimed(reader)
    page = await acting.home_page(newer_token=token, timeout_s=CALL_S)
    assert late[0] in [tweet.id for tweet in page.tweets]
    assert not page.info.degraded


async def test_scenario_08_after_a_settled_block_no_server_shows_either_to_the_other(town: Town) -> None:
    one, other, go_between = await town.person(), await town.person(), await town.person()
    for id_ in (one, other):
        await town.client.acting_as(id_).follow(go_between, timeout_s=CALL_S)
    await town.client.acting_as(one).follow(other, timeout_s=CALL_S)
    await town.client.acting_as(other).follow(one, timeout_s=CALL_S)
    (of_one,), (of_other,) = await town.posts(one, 1), await town.posts(other, 1)
    (quoting_one,) = await town.posts(go_between, 1, quoted_id=of_one)
    (answering_other,) = await town.posts(go_between, 1, in_reply_to_id=of_other)
    await town.claimed(one)
    before = set(await town.home(other))
    assert {of_one, quoting_one} <= before
    reply = await town.client.acting_as(one).block(other, timeout_s=CALL_S)
    assert reply.settled
    for client in (town.client, town.second):
        shown_to_other = await town.home(other, client=client)
        shown_to_one = await town.home(one, client=client)
        assert not {of_one, quoting_one} & set(shown_to_other)
        assert not {of_other, answering_other} & set(shown_to_one)
        for viewer, hidden in ((other, (of_one, quoting_one)), (one, (of_other, answering_other))):
            for tweet_id in hidden:
                with pytest.raises(errors.NotFound):
                    await client.acting_as(viewer).get_tweet(tweet_id)
        for viewer, author in ((other, one), (one, other)):
            with pytest.raises(errors.NotFound):
                await client.acting_as(viewer).user_page(author)
        with pytest.raises(errors.NotFound):
            await client.acting_as(other).follow(one, timeout_s=CALL_S)
    relationship = await town.second.acting_as(other).get_relationship(one)
    assert (relationship.following, relationship.followed_by, relationship.blocked_by) == (False, False, True)


async def test_scenario_09_unmute_and_unblock_bring_history_back(town: Town) -> None:
    muted, blocked = await town.person(), await town.person()
    reader = await town.person(muted, blocked)
    acting = town.client.acting_as(reader)
    of_muted, of_blocked = await town.posts(muted, 4), await town.posts(blocked, 4)
    everything = sorted([*of_muted, *of_blocked], reverse=True)
    await town.claimed(reader)
    assert await town.home(reader) == everything
    assert (await acting.mute(muted, timeout_s=CALL_S)).settled
    assert (await acting.block(blocked, timeout_s=CALL_S)).settled
    assert await town.home(reader, client=town.second) == []
    await acting.unmute(muted, timeout_s=CALL_S)
    await acting.unblock(blocked, timeout_s=CALL_S)
    await acting.follow(blocked, timeout_s=CALL_S)
    assert await town.home(reader) == everything
    assert await town.home(reader, client=town.second) == everything


async def test_scenario_10_unfollow_hides_old_entries_at_once_and_late_ones_too(town: Town) -> None:
    left, kept = await town.person(), await town.person()
    reader = await town.person(left, kept)
    of_left, of_kept = await town.posts(left, 3), await town.posts(kept, 3)
    await town.claimed(reader)
    assert set(of_left) <= set(await town.home(reader))
    assert (await town.client.acting_as(reader).unfollow(left, timeout_s=CALL_S)).settled
    for client in (town.client, town.second):
        assert await town.home(reader, client=client) == of_kept[::-1]
    late = await town.posts(left, 1)
    await town.cache.lpushx(keys.home(reader), late[0])  # what a fan-out does that read its followers before
    for client in (town.client, town.second):
        assert await town.home(reader, client=client) == of_kept[::-1]


async def test_scenario_12_one_slow_cache_node_delays_its_own_readers_only_and_visibly(town: Town) -> None:
    """50,000 followers of whom one on each node looks on; one node stands still for two seconds in mid fan-out."""
    author, neighbour = await town.person(), await town.person()
    readers = await _one_reader_on_each_node(town)
    crowd = range(1 << 41, (1 << 41) + 50_000)
    await town.seeding.crowd(author, crowd)
    watched = await town.person(neighbour)
    for reader in readers.values():
        await town.client.acting_as(reader).follow(author, timeout_s=CALL_S)
        await town.home(reader)
    await town.claimed(watched)
    slow = town.stack.valkey[0]
    with standing_still([slow]):
        (post,) = await town.posts(author, 1)
        (beside,) = await town.posts(neighbour, 1)
        others = [reader for port, reader in readers.items() if port != slow.port]
        if _node_of(town, watched) != slow.port:
            await eventually(lambda: _shows(town, watched, beside), 8.0)
        for reader in others:
            await eventually(partial(_shows, town, reader, post), 30.0)
        page = await town.client.acting_as(others[0]).home_page(timeout_s=CALL_S)
        lag_ms = now_ms() - page.info.complete_through.ToMilliseconds()
    assert lag_ms > 5_000
    for reader in readers.values():
        await eventually(partial(_shows, town, reader, post))
    await town.claimed(watched)
    for reader in readers.values():
        assert post in await town.home(reader)


def _node_of(town: Town, user_id: int) -> int:
    """The port of the primary that has a user's keys."""
    node = town.cache.get_node_from_key(keys.home(user_id).decode())
    assert node is not None
    return int(node.port)


async def _one_reader_on_each_node(town: Town) -> dict[int, int]:
    found: dict[int, int] = {}
    while len(found) < len(town.stack.valkey):
        id_ = await town.person()
        found.setdefault(_node_of(town, id_), id_)
    return found


async def _shows(town: Town, reader: int, tweet_id: int) -> bool:
    try:
        page = await town.client.acting_as(reader).home_page(timeout_s=CALL_S)
    except errors.Unavailable:
        return False
    return tweet_id in [tweet.id for tweet in page.tweets]


async def test_scenario_15_followees_who_last_posted_400_days_ago_are_seen(town: Town) -> None:
    authors = [await town.person() for _ in range(3)]
    made = []
    for number, author in enumerate(authors):
        made += await town.import_posts(author, [now_ms() - (400 + number) * DAY_MS, now_ms() - 900 * DAY_MS])
    reader = await town.person(*authors)
    await town.claimed(reader)
    assert await town.home(reader, 2) == sorted(made, reverse=True)
    assert (await town.client.acting_as(reader).home_page()).tweets


async def test_scenario_16_a_worker_killed_at_a_page_of_a_large_fanout_leaves_no_gap_and_no_doubles(town: Town) -> None:
    author = await town.person()
    crowd = range(1 << 42, (1 << 42) + 20_000)
    await town.seeding.crowd(author, crowd)
    watched = random.Random(16).sample(crowd, 300)
    for follower in watched:
        await town.cache.rpush(keys.home(follower), 1, 0)
    before = await town.posts(author, 1)
    await eventually(lambda: _delivered(town, watched, before[0], len(watched)))
    (post,) = await town.posts(author, 1)
    worker = town.workers.pop()
    await eventually(lambda: _delivered(town, watched, post, 1), 20.0)
    await asyncio.to_thread(worker.node.kill)
    reached = await _count(town, watched, post)
    await asyncio.to_thread(town.start_worker)
    await eventually(lambda: _delivered(town, watched, post, len(watched)))
    for follower in watched:
        entries = [int(entry) for entry in await town.cache.lrange(keys.home(follower), 0, -1)]
        assert entries == [post, before[0], 1, 0]
    assert reached < len(watched), "the fan-out was over before the kill: a larger crowd is needed"


async def _count(town: Town, followers: Sequence[int], tweet_id: int) -> int:
    looks = town.cache.pipeline()  # one after the other they would take longer than a fan-out
    for follower in followers:
        looks.lrange(keys.home(follower), 0, 0)
    return sum(head == [str(tweet_id).encode()] for head in await looks.execute())


async def _delivered(town: Town, followers: Sequence[int], tweet_id: int, at_least: int) -> bool:
    return await _count(town, followers, tweet_id) >= at_least


async def test_scenario_17_an_author_who_crosses_tiers_while_posting_loses_nothing(town: Town) -> None:
    author = await town.person()
    readers = [await town.person(author) for _ in range(PULL_FROM - 2)]
    made: list[int] = []
    stop = asyncio.Event()

    async def keep_posting() -> None:
        while not stop.is_set():
            made.extend(await town.posts(author, 1))
            await asyncio.sleep(0.2)  # the pace of the load

    posting = asyncio.create_task(keep_posting())
    joined = [await town.person(author) for _ in range(4)]
    await eventually(lambda: _tier(town, author, pull=True), 120.0)
    for reader in (*readers, *joined):
        await town.home(reader)
    switch = await _row(town, author)
    await eventually(lambda: _past(switch.switch_time.ToMilliseconds() + 3_000), 60.0)
    for reader in joined:
        await town.client.acting_as(reader).unfollow(author, timeout_s=CALL_S)
    await town.client.acting_as(readers[0]).unfollow(author, timeout_s=CALL_S)
    await town.client.acting_as(readers[0]).follow(author, timeout_s=CALL_S)
    await eventually(lambda: _tier(town, author, pull=False), 120.0)
    back = await _row(town, author)
    await eventually(lambda: _past(back.switch_time.ToMilliseconds() + 3_000), 60.0)
    stop.set()
    await posting
    await town.claimed(readers[0])
    for client in (town.client, town.second):
        for reader in readers:
            assert await town.home(reader, client=client) == made[::-1]


async def _row(town: Town, author: int) -> admin_pb2.AuthorTier:
    return next(row for row in (await town.client.list_author_tiers([author])).tiers if row.author_id == author)


async def _tier(town: Town, author: int, *, pull: bool) -> bool:
    row = await _row(town, author)
    return row.HasField("switch_time") and (row.tier == admin_pb2.DELIVERY_TIER_PULL) is pull


async def _past(moment_ms: int) -> bool:
    return now_ms() > moment_ms


async def test_everything_at_once_ends_as_the_calls_were_answered(town: Town, tmp_path: Path) -> None:
    """A run of tests/support/change_run.py, small: borders between tiers are crossed all the time."""
    source = made_up(80, 6, 5)
    ids, _ = await load(town.client, source, tmp_path / "journal.jsonl", 24)
    plan = Plan(posts=300, readers=30, pull_from=PULL_FROM, seed=5)
    told = await change_run(town.client, town.second, source, ids, plan, say=lambda line: None)
    assert told["wrong"] == []
    assert (told["lost"], told["doubled"], told["forbidden"]) == (0, 0, 0)
    assert told["homes_judged"] == 30
    assert told["pages_meanwhile"] > 30
    changes = {"deletes", "follows", "unfollows", "blocks", "unblocks", "mutes", "unmutes"}
    assert told["calls"].keys() >= {"posts"} | changes
