from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from rookery_server.cache.redis.cache import RedisCache
from rookery_server.dev.stack import Stack
from tests.integration.valkey.clusters import Cluster, cluster


@pytest.fixture(scope="package")
def calm_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """For tests that harm nothing but keys of their own."""
    with cluster(tmp_path_factory.mktemp("calm"), replicas=False) as stack:
        yield stack


@pytest.fixture
async def calm(calm_stack: Stack) -> AsyncIterator[Cluster]:
    made = Cluster(calm_stack)
    for node in calm_stack.valkey:
        made.ask(node, "FLUSHALL")
    yield made
    await made.close()


@pytest.fixture
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three primaries, to be hurt."""
    with cluster(tmp_path_factory.mktemp("three"), replicas=False) as stack:
        made = Cluster(stack)
        yield made
        await made.close()


@pytest.fixture
async def six(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three primaries and their replicas, to be hurt."""
    with cluster(tmp_path_factory.mktemp("six"), replicas=True) as stack:
        made = Cluster(stack)
        await made.replicas_in_step()
        yield made
        await made.close()


@pytest.fixture
def cache(calm: Cluster) -> RedisCache:
    return calm.cache()
