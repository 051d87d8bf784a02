"""The doorbell: heard by who listens for the shard, lost quietly otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rookery_server.cache.interface import Cache
from tests.conformance.cache.subjects import PATIENCE_S, Subject, ended, relinked

Ring = tuple[int, bytes]
SHARDS = frozenset(range(16))
PROBE = b"probe"


class Listening:
    """A task that takes rings, as a worker's does."""

    def __init__(self, cache: Cache, shards: frozenset[int]) -> None:
        self._heard: asyncio.Queue[Ring] = asyncio.Queue()
        self.task = asyncio.create_task(self._listen(cache, shards))

    async def _listen(self, cache: Cache, shards: frozenset[int]) -> None:
        async for ring in cache.listen(shards):
            self._heard.put_nowait(ring)

    async def ready(self, ringer: Cache, shards: frozenset[int]) -> None:
        """Rings until every shard was heard once: listening has begun."""
        missing = set(shards)
        async with asyncio.timeout(PATIENCE_S):
            while missing:
                for shard in missing:
                    ringer.ring(shard, PROBE)
                await asyncio.sleep(0.01)
                while not self._heard.empty():
                    missing.discard(self._heard.get_nowait()[0])

    async def next(self) -> Ring:
        async with asyncio.timeout(PATIENCE_S):
            while (ring := await self._heard.get())[1] == PROBE:
                pass
        return ring

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def ringer(cache: Cache) -> Cache:
    await cache.open_links()
    return cache


@pytest.fixture
async def listening(subject: Subject, ringer: Cache) -> AsyncIterator[Listening]:
    made = Listening(subject.process(), SHARDS)
    await made.ready(ringer, SHARDS)
    yield made
    await made.stop()


async def test_rings_are_heard_in_order_with_their_bytes(ringer: Cache, listening: Listening) -> None:
    event = bytes(range(256))
    ringer.ring(3, event)
    ringer.ring(3, b"")
    ringer.ring(3, b"last")
    assert [await listening.next() for _ in range(3)] == [(3, event), (3, b""), (3, b"last")]


async def test_every_shard_is_heard(ringer: Cache, listening: Listening) -> None:
    for shard in SHARDS:
        ringer.ring(shard, b"%d" % shard)
    assert sorted([await listening.next() for _ in SHARDS]) == [(shard, b"%d" % shard) for shard in sorted(SHARDS)]


async def test_everybody_who_listens_hears_only_what_he_listens_for(
    subject: Subject, ringer: Cache, listening: Listening
) -> None:
    one = Listening(subject.process(), frozenset({5}))
    await one.ready(ringer, frozenset({5}))
    same_node = next(shard for shard in SHARDS - {5} if subject.node_of(shard) == subject.node_of(5))
    ringer.ring(same_node, b"not his")
    ringer.ring(5, b"his")
    assert await one.next() == (5, b"his")
    assert [await listening.next() for _ in range(2)] == [(same_node, b"not his"), (5, b"his")]
    await one.stop()


async def test_a_ring_without_link_or_listener_is_lost_quietly(subject: Subject, ringer: Cache) -> None:
    subject.process().ring(1, b"no link")
    ringer.ring(1, b"no listener")
    late = Listening(subject.process(), frozenset({1}))
    await late.ready(ringer, frozenset({1}))
    ringer.ring(1, b"heard")
    assert await late.next() == (1, b"heard")
    await late.stop()


async def test_listening_ends_with_a_connection(subject: Subject, listening: Listening) -> None:
    for node in {subject.node_of(shard) for shard in SHARDS}:
        subject.drop_connections(node)
    await asyncio.wait_for(listening.task, PATIENCE_S)


async def test_listening_begins_again(subject: Subject, ringer: Cache, listening: Listening) -> None:
    link = (await ringer.open_links())[subject.node_of(3)]
    subject.drop_connections(link.node)
    await asyncio.wait_for(listening.task, PATIENCE_S)
    await ended(ringer, link)
    await relinked(ringer, link)
    again = Listening(subject.process(), SHARDS)
    await again.ready(ringer, SHARDS)
    ringer.ring(3, b"heard again")
    assert await again.next() == (3, b"heard again")
    await again.stop()
