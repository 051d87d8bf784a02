"""The Cassandra adapter: all tables over one session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rookery_server.domain.clock import Clock
from rookery_server.domain.fanout import Crossing
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import (
    clocks,
    counts,
    graph,
    leases,
    many_tweets,
    migrations,
    outbox,
    relations,
    requests,
    tiers,
    tweets,
    users,
)
from rookery_server.store.cassandra.session import CassandraSession, SessionHook
from rookery_server.store.cassandra.settings import CassandraSettings

if TYPE_CHECKING:
    from rookery_server.store.interface import Store

STATEMENTS = (
    *users.STATEMENTS, *requests.STATEMENTS, *tweets.STATEMENTS, *many_tweets.STATEMENTS, *graph.STATEMENTS,
    *outbox.STATEMENTS,
    *leases.STATEMENTS, *clocks.STATEMENTS, *relations.STATEMENTS, *counts.STATEMENTS, *tiers.STATEMENTS,
)  # fmt: skip


class CassandraStore(
    users.UserTables,
    requests.RequestTable,
    tweets.TweetTables,
    graph.GraphTables,
    relations.RelationTables,
    tiers.TierTable,
    counts.CountTables,
    leases.LeaseTable,
    clocks.Clocks,
):
    """`store.interface.Store`.  Made by `open`, or over a session whose statements are prepared."""

    def __init__(self, session: CassandraSession, shards: int, clock: Clock) -> None:
        self._session, self._shards, self._clock = session, shards, clock
        self._known_buckets = tweets.KnownBuckets()
        self._calls = asyncio.Semaphore(many_tweets.CALLS_AT_ONCE)

    @classmethod
    async def open(
        cls,
        settings: CassandraSettings,
        metrics: Metrics,
        clock: Clock,
        *,
        shards: int | None = None,
        crossing: Crossing | None = None,
        hook: SessionHook | None = None,
    ) -> CassandraStore:
        """Connects, passes the start-up gate and prepares every statement.

        `shards`: what the configuration says, if it says anything; another number than the keyspace was created with
        is refused.  `crossing`: the times it says, which must be within what all processes agreed upon (T11).
        Raises SchemaNotReady, StoreUnavailable."""
        session = await CassandraSession.connect(settings, metrics, hook=hook)
        try:
            installed = await migrations.check(session, crossing)
            if shards is not None and shards != installed.outbox_shards:
                raise migrations.SchemaNotReady(
                    f"keyspace {settings.keyspace} has {installed.outbox_shards} outbox shards, configured are {shards}"
                )
            await session.prepare(STATEMENTS)
        except BaseException:
            await session.close()
            raise
        metrics.schema_version("installed").set(installed.version)
        return cls(session, installed.outbox_shards, clock)

    async def close(self) -> None:
        await self._session.close()


if TYPE_CHECKING:
    _keeps_the_contract: type[Store] = CassandraStore
