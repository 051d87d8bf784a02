"""L10-L12 of docs/protocols/links.md: a new or emptied primary is flushed once."""

from __future__ import annotations

import asyncio

from rookery_server.cache.redis.cache import RedisCache
from rookery_server.domain.errors import CacheUnavailable
from tests.conformance.cache.subjects import ended, relinked
from tests.integration.valkey.clusters import Cluster, tags_on


async def test_of_two_workers_one_wins(calm: Cluster) -> None:
    for attempt in range(20):
        for process in calm.stack.valkey:
            calm.ask(process, "FLUSHALL")
        workers = [calm.cache() for _ in range(2)]
        links = [await worker.open_links() for worker in workers]
        for node in links[0]:
            won = await asyncio.gather(
                *(worker.adopt_empty(link[node], attempt) for worker, link in zip(workers, links, strict=True)),
                return_exceptions=True,
            )
            # The winner ends the other's connection, before or after it was told that it lost.
            assert [one is True for one in won].count(True) == 1
            assert all(one is True or one is False or isinstance(one, CacheUnavailable) for one in won)
        for worker in workers:
            await worker.close()


async def test_what_is_built_after_the_winner_is_not_flushed_by_the_loser(calm: Cluster) -> None:
    winner, loser = calm.cache(), calm.cache()
    mine, late = await winner.open_links(), await loser.open_links()
    node = sorted(mine)[0]
    (tag,) = tags_on(winner, node, 1)
    await winner.mark_deleted(tag)
    assert await winner.adopt_empty(mine[node], 1)
    assert await winner.get_bodies([tag]) == {}  # the flush took what was there before
    assert await winner.advance(mine[node], {3: (None, 7)}) == {3: True}
    await winner.mark_deleted(tag)
    await ended(loser, late[node])
    again = await relinked(loser, late[node])
    assert not await loser.adopt_empty(again, 2)
    assert await winner.get_bodies([tag]) == {tag: b""}
    marks = await loser.read_node_marks(again)
    assert (marks.known, marks.marks, marks.flushed_ms) == (True, {3: 7}, 1)


async def test_a_known_node_too_far_behind_is_flushed_once(calm: Cluster) -> None:
    cache = calm.cache()
    links = await cache.open_links()
    link = links[sorted(links)[0]]
    assert await cache.adopt_empty(link, 10)
    assert await cache.advance(link, {1: (None, 5)}) == {1: True}
    assert not await cache.adopt_empty(link, 20)
    assert not await cache.adopt_empty(link, 20, 9)
    assert await cache.adopt_empty(link, 20, 10)
    assert not await cache.adopt_empty(link, 30, 10)
    marks = await cache.read_node_marks(link)
    assert (marks.known, marks.marks, marks.flushed_ms) == (True, {}, 20)


async def test_claim_C8_whoever_finds_a_node_given_up_ends_its_links_before_adopting_it(calm: Cluster) -> None:
    """The one that gave it up crashed before it could."""
    crashed, next_one, server = calm.cache(), calm.cache(), calm.cache()
    node = sorted(await crashed.open_links())[0]
    assert await crashed.adopt_empty((await crashed.open_links())[node], 10)
    before, link = (await server.open_links())[node], (await crashed.open_links())[node]
    assert await crashed._adopt(link, 20, 10, "") == -1
    assert not (await next_one.read_node_marks((await next_one.open_links())[node])).known
    assert server.is_current(before)
    assert await next_one.adopt_empty((await next_one.open_links())[node], 30)
    await ended(server, before)
    await ended(crashed, link)
    assert not await crashed.adopt_empty(await relinked(crashed, link), 40)
    marks = await next_one.read_node_marks((await next_one.open_links())[node])
    assert (marks.known, marks.marks, marks.flushed_ms) == (True, {}, 30)


async def test_shards_of_one_process_end_connections_once(calm: Cluster) -> None:
    worker, server = calm.cache(), calm.cache()
    node = sorted(await worker.open_links())[0]
    calm.ask(calm.primary(node), "FLUSHALL")
    link, before = (await worker.open_links())[node], (await server.open_links())[node]
    calm.ask(calm.primary(node), "CONFIG", "RESETSTAT")
    assert sorted(await asyncio.gather(*(worker.adopt_empty(link, at) for at in range(16)))) == [False] * 15 + [True]
    counted = calm.ask(calm.primary(node), "INFO", "commandstats")["cmdstat_client|kill"]
    assert counted["calls"] == 1
    await ended(server, before)
    assert (await server.read_node_marks(await relinked(server, before))).known


async def test_marks_of_another_node_are_not_its_own(calm: Cluster) -> None:
    cache = calm.cache()
    link = sorted((await cache.open_links()).values(), key=lambda link: link.node)[0]
    key = cache._client.directory.current.shards[link.node].watermarks_key.decode()
    calm.ask(calm.primary(link.node), "HSET", key, "node", "another", "1", "99")
    marks = await cache.read_node_marks(link)
    assert (marks.known, marks.marks) == (False, {})
    assert await cache.advance(link, {1: (99, 100)}) == {1: False}
    assert await cache.adopt_empty(link, 5)


async def test_marks_are_moved_only_from_what_was_known(cache: RedisCache) -> None:
    link = next(iter((await cache.open_links()).values()))
    assert await cache.advance(link, {}) == {}
    assert await cache.adopt_empty(link, 5)
    big = (1 << 62) + 1
    assert await cache.advance(link, {1: (None, 10), 2: (4, 10), 3: (None, big)}) == {1: True, 2: False, 3: True}
    assert await cache.advance(link, {1: (None, 11), 2: (None, 4), 3: (big - 1, 5)}) == {1: False, 2: True, 3: False}
    assert (await cache.read_node_marks(link)).marks == {1: 10, 2: 4, 3: big}
