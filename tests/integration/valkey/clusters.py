"""Real clusters for tests that hurt them, seen from outside through redis-py."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from rookery_server.cache import keys
from rookery_server.cache.interface import Link
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.dev.node import ValkeyNode
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from rookery_server.domain import ids
from rookery_server.domain.clock import Clock, SystemClock
from rookery_server.metrics import Metrics
from tests.support.waiting import until

# Short, since these tests wait for failovers; long enough for two busy cores.
NODE_TIMEOUT_MS = 1000


class Cluster:
    """Three primaries, with a replica each if wanted."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.addresses = tuple(Address(host, port) for host, port in stack.valkey_nodes)
        self._caches: list[RedisCache] = []

    def cache(self, clock: Clock | None = None, **settings: Any) -> RedisCache:
        """An adapter of its own, as another process would have it; closed with the cluster."""
        # Patient by default: these tests share two cores with everybody else's.
        patient = RedisSettings(self.addresses, timeout_s=1.0, connect_timeout_s=1.0)
        made = RedisCache(replace(patient, **settings), clock or SystemClock(), Metrics(), random.Random(1))
        self._caches.append(made)
        return made

    async def close(self) -> None:
        for cache in self._caches:
            await cache.close()

    def ask(self, node: ValkeyNode, *command: Any) -> Any:
        client = redis.Redis(host=node.host, port=node.port, socket_timeout=5.0, protocol=2, decode_responses=True)
        try:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            client.close()

    def primary(self, shard_id: str) -> ValkeyNode:
        """The node that is primary of this shard and says so."""
        for node in self.stack.valkey:
            if node.is_running and self._is_primary(node, shard_id):
                return node
        raise AssertionError(f"no primary of {shard_id}")

    def _is_primary(self, node: ValkeyNode, shard_id: str) -> bool:
        return bool(self.ask(node, "CLUSTER", "MYSHARDID") == shard_id and self.ask(node, "ROLE")[0] == "master")

    def replica_of(self, shard_id: str) -> ValkeyNode:
        for node in self.stack.valkey:
            if self.ask(node, "CLUSTER", "MYSHARDID") == shard_id and self.ask(node, "ROLE")[0] == "slave":
                return node
        raise AssertionError(f"no replica of {shard_id}")

    async def replicas_in_step(self) -> None:
        await until(
            lambda: all(
                self.ask(node, "INFO", "replication")["master_link_status"] == "up"
                for node in self.stack.valkey
                if self.ask(node, "ROLE")[0] == "slave"
            )
        )


@contextmanager
def cluster(folder: Path, *, replicas: bool) -> Iterator[Stack]:
    spec = StackSpec(
        name="valkey-test",
        durable=False,
        throwaway=True,
        replicas=replicas,
        node_timeout_ms=NODE_TIMEOUT_MS,
        cassandra_at=(("127.0.0.1", 1),),  # none is started, and none is asked
    )
    with Stack(spec, folder=folder) as stack:
        yield stack


def tags_on(cache: RedisCache, node: str, count: int, start: int = 1) -> list[int]:
    """Numbers whose keys lie on `node`; the topology must be known."""
    owners, found = cache._client.directory.current.owners, list[int]()
    number = start
    while len(found) < count:
        if owners[keys.slot_of(number)] == node:
            found.append(number)
        number += 1
    return found


def fresh_id(sequence: int = 0, age_ms: int = 0) -> int:
    return ids.compose(time.time_ns() // 1_000_000 - age_ms, 1, sequence)


async def adopted(cache: RedisCache) -> dict[str, Link]:
    """As a worker does first: without that nothing is settled (R6)."""
    links = await cache.open_links()
    for link in links.values():
        assert await cache.adopt_empty(link, time.time_ns() // 1_000_000)
    return links
