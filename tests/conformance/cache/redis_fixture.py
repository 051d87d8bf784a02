"""The Redis/Valkey adapter for the shared suite, on a cluster of its own: the suite empties it before each test.

Never the stack of the other tests, and never one that was named from outside: emptying is not for what others use.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest
import redis

from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from rookery_server.domain.clock import Clock
from rookery_server.metrics import Metrics

MakeCache = Callable[[Clock, float], RedisCache]


@pytest.fixture(scope="session")
def redis_cache_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    spec = StackSpec(
        name="cache-conformance",
        durable=False,
        throwaway=True,
        cassandra_at=(("127.0.0.1", 1),),  # none is started, and none is asked
    )
    with Stack(spec, folder=tmp_path_factory.mktemp("cache-conformance")) as stack:
        yield stack


@pytest.fixture
async def make_redis_cache(redis_cache_stack: Stack) -> AsyncIterator[MakeCache]:
    """Adapters over one empty cluster, as several processes would have them; all are closed afterwards."""
    for node in redis_cache_stack.valkey:
        with redis.Redis(host=node.host, port=node.port, socket_timeout=5.0) as client:
            client.flushall()
    addresses = tuple(Address(host, port) for host, port in redis_cache_stack.valkey_nodes)
    # Patient: the suite is about what is answered, and shares two cores with other work.
    patient = RedisSettings(addresses, timeout_s=2.0, connect_timeout_s=2.0)
    made: list[RedisCache] = []

    def make(clock: Clock, relations_life_s: float) -> RedisCache:
        settings = replace(patient, relations_life_s=relations_life_s)
        made.append(RedisCache(settings, clock, Metrics(), random.Random(len(made))))
        return made[-1]

    yield make
    for cache in made:
        await cache.close()
