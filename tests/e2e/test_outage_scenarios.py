"""The scenarios of docs/scenarios.md in which parts of the installation are stopped or killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pytest

from rookery import errors
from rookery_server.cache import keys
from rookery_server.dev.node import ValkeyNode
from tests.support.readers import now_ms
from tests.support.town import CALL_S, Town, eventually

pytestmark = pytest.mark.timeout(400)


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
            await eventually(lambda: _shows(town, watched, beside))
        for reader in others:
            await eventually(partial(_shows, town, reader, post))
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
