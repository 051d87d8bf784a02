"""L7-L9 of docs/protocols/links.md: names outlive addresses, and claims never outlive data."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from rookery_server.cache.interface import Link, Marks
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.dev.node import ValkeyNode
from tests.integration.valkey.clusters import Cluster, adopted, fresh_id, tags_on
from tests.support.waiting import until

QUICK: dict[str, Any] = {"timeout_s": 0.5, "connect_timeout_s": 0.5}
"""Shorter than a succession takes, longer than nodes that are well need on a busy machine."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def promoted(cluster: Cluster, node: str, old: ValkeyNode) -> ValkeyNode:
    def another() -> ValkeyNode | None:
        for candidate in cluster.stack.valkey:
            if candidate is not old and candidate.is_running and cluster._is_primary(candidate, node):
                return candidate
        return None

    found: ValkeyNode = await until(another, "the promotion")
    return found


async def answered(cache: RedisCache, node: str, links: dict[str, Link]) -> Marks | None:
    marks = (await cache.read_marks()).get(node)
    return marks if marks is not None and marks.link.generation != links[node].generation else None


async def test_a_killed_primary_is_followed_to_its_replica(six: Cluster) -> None:
    worker, server = six.cache(**QUICK), six.cache(**QUICK)
    links = await adopted(worker)
    node = sorted(links)[0]
    users = tags_on(worker, node, 20)
    for user in users:
        link = await server.begin_home(user, -1)
        assert link is not None
        assert await server.finish_home(user, -1, [], True, 1, link, 0)
    tweet = fresh_id()
    assert (await worker.deliver(tweet, users, links, False)).pushed == 20
    assert await worker.advance(links[node], {1: (None, 100)}) == {1: True}
    assert await server.mark_deleted(users[0])  # proves that the replica has all that was written before
    old = six.primary(node)

    old.kill()
    await promoted(six, node, old)
    marks = await until(lambda: answered(worker, node, links), "marks over a new link")
    # The same name, another connection; the marks are those the new primary holds, and so are the pushes.
    assert (marks.known, marks.marks) == (True, {1: 100})
    assert not worker.is_current(links[node])
    assert worker.is_current(marks.link)
    assert {n for n in links if worker.is_current(links[n])} == set(links) - {node}
    home = await until(lambda: quietly(server, users[0]), "the home list")
    assert home.ids == (tweet,)
    # Re-applied in place, over the new link: nothing doubles.
    again = await worker.open_links()
    assert (await worker.deliver(tweet, users, again, True)).duplicate == 20
    assert await worker.advance(again[node], {1: (100, 200)}) == {1: True}


async def quietly(cache: RedisCache, user: int) -> Any:
    from rookery_server.domain.errors import CacheUnavailable

    try:
        return await cache.read_home(user, 0, 10)
    except CacheUnavailable:
        return None


async def test_a_primary_that_slept_through_its_succession_is_left(six: Cluster) -> None:
    """The worst kind: TCP stays up, and the old primary wakes up believing it still is one."""
    worker = six.cache(**QUICK)
    links = await adopted(worker)
    node = sorted(links)[0]
    (user,) = tags_on(worker, node, 1)
    link = await worker.begin_home(user, -1)
    assert link is not None
    assert await worker.finish_home(user, -1, [], True, 1, link, 0)
    await six.replicas_in_step()
    assert await worker.mark_deleted(user)
    old = six.primary(node)

    old.stop_signal()
    lost = fresh_id()
    assert (await worker.deliver(lost, [user], links, False)).behind == {node}
    new = await promoted(six, node, old)
    marks = await until(lambda: answered(worker, node, links), "marks over a new link")
    assert marks.known
    kept = fresh_id(1)
    assert (await worker.deliver(kept, [user], await worker.open_links(), False)).pushed == 1

    old.cont()
    await until(lambda: six.ask(old, "ROLE")[0] == "slave", "the old primary giving in")
    home = await until(lambda: quietly(worker, user), "the home list")
    assert home.ids == (kept,)
    assert six.primary(node) is new


async def test_a_primary_restarted_empty_is_not_known(three: Cluster) -> None:
    worker = three.cache(**QUICK)
    links = await adopted(worker)
    node = sorted(links)[0]
    assert await worker.advance(links[node], {1: (None, 100)}) == {1: True}
    restarted = three.primary(node)
    await asyncio.to_thread(restarted.restart_empty)

    marks = await until(lambda: answered(worker, node, links), "marks over a new link")
    assert (marks.known, marks.marks, marks.flushed_ms) == (False, {}, 0)
    assert not worker.is_current(links[node])
    # Nothing moves there before it was adopted.
    again = (await worker.open_links())[node]
    assert await worker.advance(again, {1: (100, 200), 2: (None, 200)}) == {1: False, 2: False}
    assert await worker.adopt_empty(again, 12345)
    marks = await worker.read_node_marks(again)
    assert (marks.known, marks.marks, marks.flushed_ms) == (True, {}, 12345)
