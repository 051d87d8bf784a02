"""The doorbell: heard while nodes live, and its iterations end when one does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rookery_server.cache.redis.cache import RedisCache
from rookery_server.domain.errors import CacheUnavailable
from tests.integration.valkey.clusters import Cluster
from tests.support.waiting import until

SHARDS = frozenset(range(16))


class Listening:
    """An iteration in a task of its own."""

    def __init__(self, cache: RedisCache, shards: frozenset[int] = SHARDS) -> None:
        self.rings: list[tuple[int, bytes]] = []
        self.task = asyncio.create_task(self._listen(cache.listen(shards)))

    async def _listen(self, rings: AsyncIterator[tuple[int, bytes]]) -> None:
        async for ring in rings:
            self.rings.append(ring)

    async def hears(self, ringer: RedisCache, event: bytes) -> None:
        def ring() -> bool:
            for shard in SHARDS:
                ringer.ring(shard, event)
            return {shard for shard, heard in self.rings if heard == event} == SHARDS

        await until(ring, "every shard ringing")

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_every_shard_is_heard_and_others_are_not(calm: Cluster) -> None:
    ringer, listener = calm.cache(), calm.cache()
    await ringer.open_links()
    listening = Listening(listener)
    deaf = Listening(listener, frozenset({99}))
    await listening.hears(ringer, b"\x00event")
    assert deaf.rings == []
    await listening.stop()
    await deaf.stop()


async def test_a_ring_without_links_is_lost_quietly(calm: Cluster) -> None:
    calm.cache().ring(1, b"x")


async def test_it_ends_with_a_node_and_is_begun_again(three: Cluster) -> None:
    ringer, listener = three.cache(), three.cache()
    await ringer.open_links()
    listening = Listening(listener)
    await listening.hears(ringer, b"one")
    killed = three.stack.valkey[0]
    killed.kill()
    await asyncio.wait_for(listening.task, 10)
    # With one node missing the others are heard, for a while.
    partly = Listening(listener)
    await asyncio.wait_for(partly.task, 10)
    await asyncio.to_thread(killed.restart_empty)
    await ringer.open_links()
    again = Listening(listener)
    try:
        await until(lambda: relisten(again, listener), "a whole iteration")
        await until(lambda: opened(ringer), "all links")
        await again.hears(ringer, b"two")
    finally:
        await again.stop()


async def opened(cache: RedisCache) -> bool:
    return len(await cache.open_links()) == 3


def relisten(listening: Listening, cache: RedisCache) -> bool:
    if listening.task.done():
        listening.task = asyncio.create_task(listening._listen(cache.listen(SHARDS)))
        return False
    return True


async def test_a_stopped_node_ends_it_too(three: Cluster) -> None:
    listener = three.cache(timeout_s=0.2)
    ringer = three.cache()
    await ringer.open_links()
    listening = Listening(listener)
    await listening.hears(ringer, b"one")
    stopped = three.stack.valkey[1]
    stopped.stop_signal()
    try:
        await asyncio.wait_for(listening.task, 10)
    finally:
        stopped.cont()


async def test_nobody_there(three: Cluster) -> None:
    listener = three.cache(timeout_s=0.2, connect_timeout_s=0.2)
    await listener.open_links()
    for node in three.stack.valkey:
        node.kill()
    with pytest.raises(CacheUnavailable):
        async for _ in listener.listen(SHARDS):
            pass
