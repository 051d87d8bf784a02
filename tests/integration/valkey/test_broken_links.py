"""L1-L6 of docs/protocols/links.md: what a link is, and that nothing sent over an ended one runs later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Link
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.errors import NotSent, TimedOut
from rookery_server.domain.errors import CacheUnavailable, Outcome
from tests.integration.valkey.clusters import Cluster, adopted, fresh_id, tags_on
from tests.support.waiting import until

QUICK: dict[str, Any] = {"timeout_s": 0.5, "connect_timeout_s": 0.5}
"""Longer than nodes that are well need on a busy machine."""


async def open_lists(cache: RedisCache, users: list[int]) -> dict[str, Link]:
    """Complete empty lists for these users, and links to all nodes."""
    for user in users:
        link = await cache.begin_home(user, -1 - user)
        assert link is not None
        assert await cache.finish_home(user, -1 - user, [], True, 1, link, 0)
    return await cache.open_links()


async def test_a_stopped_primary_breaks_its_link_and_nothing_sent_runs_later(three: Cluster) -> None:
    worker, other = three.cache(**QUICK), three.cache()
    node = sorted(await worker.open_links())[0]
    users = tags_on(worker, node, 50)
    links = await open_lists(worker, users)
    old, primary = links[node], three.primary(node)
    killed_before = len(client_ids(three, primary))

    primary.stop_signal()
    lost = fresh_id()
    delivered = await worker.deliver(lost, users, links, False)
    assert delivered.behind == {node}
    assert not worker.is_current(old)
    # While it sleeps the node is out of reach: quickly, and without touching the others.
    assert node not in await worker.open_links()
    marks = await worker.read_marks()
    assert marks[node] is None
    assert [name for name, found in marks.items() if found is not None] == sorted(
        set(links) - {node}, key=list(marks).index
    )

    # The node runs on with the pushes still in its socket; the next link must come after them or never.
    primary.cont()
    again: Any = await until(lambda: reopened(worker, node), "a new link")
    assert again.generation > old.generation
    before = {user: (await other.read_home(user, 0, 10)).ids for user in users}
    await asyncio.gather(*(worker.read_marks() for _ in range(20)))
    assert {user: (await other.read_home(user, 0, 10)).ids for user in users} == before
    # The worker's earlier connection is gone; the new one took its place.
    assert len(client_ids(three, primary)) <= killed_before + 1
    # What is sent over the old link is refused here, not there.
    late = await worker.deliver(fresh_id(), users, links, False)
    assert late.behind == {node}
    with pytest.raises(NotSent):
        await worker.read_node_marks(old)


async def reopened(cache: RedisCache, node: str) -> Link | None:
    return (await cache.open_links()).get(node)


def client_ids(cluster: Cluster, node: Any) -> list[str]:
    """Connections this product has to a node."""
    listed = cluster.ask(node, "CLIENT", "LIST")
    text = listed if isinstance(listed, str) else "\n".join(str(part) for part in listed)
    return [line for line in text.splitlines() if "rookery" in line]


async def test_the_predecessor_is_killed_before_anything_is_sent(calm: Cluster) -> None:
    """The connection is cut only on our side, with a command on its way that the node will not see for a while: the
    node must not run it once the next link is there."""
    cache = calm.cache(**QUICK)
    node = sorted(await cache.open_links())[0]
    (user,) = tags_on(cache, node, 1)
    links = await open_lists(cache, [user])
    primary = calm.primary(node)
    port = cache._client.port(node)
    assert port.connection is not None
    held = port.connection._transport
    assert held is not None
    # Keep the socket open behind the adapter's back, as a network that swallows the end of a connection would.
    port.connection._transport = None
    port.connection.lose(TimedOut("as if"))
    assert not cache.is_current(links[node])
    assert len(client_ids(calm, primary)) == 1

    again = (await cache.open_links())[node]
    await until(held.is_closing, "the node closing the old connection")
    assert len(client_ids(calm, primary)) == 1
    assert (await cache.deliver(fresh_id(), [user], {node: again}, False)).pushed == 1


async def test_a_full_queue_sends_nothing(calm: Cluster) -> None:
    cache = calm.cache(queue=20)
    links = await cache.open_links()
    node = sorted(links)[0]
    connection = cache._client.port(node).connection
    assert connection is not None
    ping = b"*1\r\n$4\r\nPING\r\n"
    waiting = connection.send(ping * 20, 20)
    with pytest.raises(CacheUnavailable) as caught:
        await cache.advance(links[node], {1: (None, 1)})
    assert caught.value.outcome is Outcome.NONE
    assert len(await waiting) == 20
    assert cache.is_current(links[node])


async def test_a_large_fan_out_keeps_within_its_window(calm: Cluster) -> None:
    cache = calm.cache(queue=50)
    await cache.open_links()
    followers = list(range(1, 2001))
    delivered, seen = await asyncio.gather(
        cache.deliver(fresh_id(), followers, await cache.open_links(), False), cache.get_bodies([1, 2, 3])
    )
    assert (delivered.inactive, delivered.behind, seen) == (2000, frozenset(), {})


async def test_a_wrong_password_is_unavailable(calm: Cluster) -> None:
    cache = calm.cache(username="nobody", password="wrong")
    assert await cache.read_marks() == {}
    with pytest.raises(CacheUnavailable):
        await cache.read_home(1, 0, 10)
    assert await cache.get_bodies([1]) == {}
    assert await cache.mark_deleted(1) is False


async def test_an_account_of_its_own(calm: Cluster) -> None:
    for node in calm.stack.valkey:
        calm.ask(node, "ACL", "SETUSER", "rookery", "on", ">secret", "~*", "&*", "+@all")
    cache = calm.cache(username="rookery", password="secret")
    assert [marks is not None for marks in (await cache.read_marks()).values()] == [True] * 3
    # What it may not do is refused, command by command; the link stays.
    for node in calm.stack.valkey:
        calm.ask(node, "ACL", "SETUSER", "rookery", "-get", "-lpushx")
    links = await cache.open_links()
    assert await cache.get_bodies([1, 2, 3]) == {}
    delivered = await cache.deliver(fresh_id(), [1, 2, 3, 4, 5, 6], links, False)
    assert delivered.behind
    assert delivered.pushed + delivered.inactive == 0
    assert all(map(cache.is_current, links.values()))


async def test_no_node_answers(tmp_path: Any) -> None:
    from rookery_server.cache.redis.settings import Address

    nobody = Cluster.__new__(Cluster)
    nobody.addresses, nobody._caches = (Address("127.0.0.1", 9),), []
    cache = nobody.cache(**QUICK)
    assert (await cache.read_marks(), await cache.open_links(), cache.nodes()) == ({}, {}, frozenset())
    assert (await cache.read_authors([1], 8), await cache.begin_authors([1], -1)) == ({}, {})
    cache.ring(1, b"x")
    for call in (
        cache.read_home(1, 0, 1),
        cache.begin_home(1, -1),
        cache.deliver(1, [1], {}, False),
        cache.place_author(1, 1, {}),
        cache.place_own(1, fresh_id()),
    ):
        with pytest.raises(CacheUnavailable):
            await call
    await cache.fill_bodies({1: b"x"}, cache.fill_mark())
    assert await cache.stub_relations(1, 1) is False
    await cache.close()


async def test_scripts_lost_by_a_server_are_brought_back(calm: Cluster) -> None:
    cache = calm.cache()
    await adopted(cache)
    links = await open_lists(cache, [5])
    for node in calm.stack.valkey:
        calm.ask(node, "SCRIPT", "FLUSH")
    tweet = fresh_id(age_ms=5000)
    assert (await cache.deliver(tweet, [5], links, True)).inserted == 1
    for node in calm.stack.valkey:
        calm.ask(node, "SCRIPT", "FLUSH")
    assert await cache.stub_relations(5, 10)
    assert not (await cache.read_home(5, 0, 1)).exists
    assert all(map(cache.is_current, links.values()))


async def test_a_slot_that_moved_ends_the_link_and_is_found_again(three: Cluster) -> None:
    cache = three.cache()
    links = await cache.open_links()
    source, target = sorted(links)[:2]
    tweet = tags_on(cache, source, 1, start=fresh_id())[0]
    await cache.fill_bodies({tweet: b"x"}, cache.fill_mark())
    move_slot(three, keys.slot_of(tweet), source, target)
    # The read is asked once more, at the right place; the old link is gone for good.
    assert await cache.get_bodies([tweet]) == {tweet: b"x"}
    assert not cache.is_current(links[source])
    assert cache.is_current(links[target])
    assert (await cache.deliver(fresh_id(), [tweet], links, False)).inactive == 1


def move_slot(cluster: Cluster, slot: int, source: str, target: str) -> None:
    """As an operator does it: keys first, then the slot is announced everywhere."""
    origin, destination = cluster.primary(source), cluster.primary(target)
    origin_id, target_id = (cluster.ask(node, "CLUSTER", "MYID") for node in (origin, destination))
    cluster.ask(destination, "CLUSTER", "SETSLOT", slot, "IMPORTING", origin_id)
    cluster.ask(origin, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    for key in cluster.ask(origin, "CLUSTER", "GETKEYSINSLOT", slot, 100):
        cluster.ask(origin, "MIGRATE", destination.host, destination.port, key, 0, 5000)
    for node in (destination, origin, *cluster.stack.valkey):
        cluster.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
