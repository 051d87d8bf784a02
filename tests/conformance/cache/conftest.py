"""Each case runs against every adapter: `-k memory` starts no server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rookery_server.cache.interface import Cache
from tests.conformance.cache.redis_fixture import make_redis_cache, redis_cache_stack
from tests.conformance.cache.subjects import ManualClock, MemorySubject, Subject, ValkeySubject

__all__ = ["make_redis_cache", "redis_cache_stack"]


@pytest.fixture(params=["memory", "valkey"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """An empty cluster of three nodes."""
    if request.param == "memory":
        yield MemorySubject()
        return
    valkey = ValkeySubject(
        request.getfixturevalue("make_redis_cache"), request.getfixturevalue("redis_cache_stack").valkey_nodes
    )
    yield valkey
    valkey.close()


@pytest.fixture
def cache(subject: Subject) -> Cache:
    """The process the case is about."""
    return subject.process()


@pytest.fixture
def clock(subject: Subject) -> ManualClock:
    return subject.clock
