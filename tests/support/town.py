"""An installation of two servers and a worker, and the ways past them.

Borders and times of tier changes are shrunk: six followers are *pull*, and a change of tiers takes seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster

from rookery import Client
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.stack import Stack
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.keyspaces import fresh_name
from tests.support.patient import PatientClient
from tests.support.readers import now_ms
from tests.support.real_run import await_claim
from tests.support.seeding import Seeding

PULL_FROM = 6
SETTINGS = {
    "ROOKERY_QUOTAS__TWEETS_PER_3H": "1000000",
    "ROOKERY_QUOTAS__FOLLOWS_PER_DAY": "1000000",
    "ROOKERY_OUTBOX__SHARDS": "4",  # each costs the one Cassandra node of all these tests a poll a second
    "ROOKERY_WORK__LEASE_RENEW_S": "1",  # in the usual proportion, so that whoever replaces the dead takes over sooner
    "ROOKERY_WORK__LEASE_FREE_AFTER_S": "4",
    "ROOKERY_TIERS__BROAD_FROM": "4",
    "ROOKERY_TIERS__PULL_FROM": str(PULL_FROM),
    "ROOKERY_TIERS__RELATIONS_LIFE_S": "2",
    "ROOKERY_TIERS__DIRECTORY_S": "0.5",
    "ROOKERY_TIERS__DIRECTORY_MAX_AGE_S": "2",
    "ROOKERY_TIERS__ANNOUNCE_S": "5",
    "ROOKERY_TIERS__REBUILD_AFTER_S": "3",
    "ROOKERY_TIERS__MERGE_S": "10",
}
CALL_S = 10.0


@dataclass(slots=True)
class Town:
    """Two servers, a worker, and the ways past them: straight into the store and the cache."""

    stack: Stack
    installation: Installation
    servers: list[Service]
    client: Client
    second: Client
    seeding: Seeding
    cache: RedisCluster
    workers: list[Service] = field(default_factory=list)
    accounts: int = 0

    def start_worker(self) -> Service:
        self.workers.append(self.installation.start_worker(f"work-{len(self.workers) + 1}"))
        return self.workers[-1]

    async def person(self, *follows: int) -> int:
        self.accounts += 1
        id_ = (await self.client.create_user(f"p{self.accounts}", timeout_s=CALL_S)).user.id
        for whom in follows:
            await self.client.acting_as(id_).follow(whom, timeout_s=CALL_S)
        return id_

    async def posts(self, author: int, count: int, quoted_id: int = 0, in_reply_to_id: int = 0) -> list[int]:
        """One after the other, the oldest first."""
        acting, made = self.client.acting_as(author), list[int]()
        for number in range(count):
            reply = await acting.create_tweet(
                f"number {number}", quoted_id=quoted_id, in_reply_to_id=in_reply_to_id, timeout_s=CALL_S
            )
            made.append(reply.tweet.id)
        return made

    async def import_posts(self, author: int, moments_ms: Sequence[int]) -> list[int]:
        """Tweets of the past under ids of their time, as an import would bring them, the oldest first."""
        return sorted([await self.seeding.post(author, moment) for moment in moments_ms])

    async def claimed(self, reader: int) -> None:
        """Until a page claims everything up to now."""
        await await_claim(self.client.acting_as(reader), now_ms())

    async def home(self, reader: int, page_size: int = 100, client: Client | None = None) -> list[int]:
        acting = (client or self.client).acting_as(reader)
        return [tweet.id async for tweet in acting.home_timeline(page_size=page_size)]

    async def forget(self, *names: bytes) -> None:
        for name in names:
            await self.cache.delete(name)


@pytest.fixture(scope="module")
async def town(own_stack: Stack) -> AsyncIterator[Town]:
    keyspace = fresh_name()
    installation = Installation(own_stack, keyspace=keyspace, settings=SETTINGS)
    await asyncio.to_thread(installation.migrate)
    servers = [await asyncio.to_thread(installation.start_server, f"serve-{n}") for n in (1, 2)]
    told = CassandraSettings(own_stack.cassandra_contact_points, own_stack.cassandra_port, keyspace, write_s=5.0)
    store = await CassandraStore.open(told, Metrics(), SystemClock())
    nodes = [ClusterNode(host, port) for host, port in own_stack.valkey_nodes]
    async with (
        PatientClient(servers[0].target, connections=2) as client,
        PatientClient(servers[1].target, connections=2) as second,
        RedisCluster(startup_nodes=nodes) as cache,
    ):
        town = Town(own_stack, installation, servers, client, second, Seeding(store), cache)
        await asyncio.to_thread(town.start_worker)
        yield town
    await store.close()


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> float:
    started = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  (only asking again can tell)
            await asyncio.sleep(0.1)
    return time.monotonic() - started
