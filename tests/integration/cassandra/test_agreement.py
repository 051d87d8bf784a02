"""The bounds all processes agreed upon, on a real engine: rule T11 of docs/protocols/tier.md."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rookery_server.domain.clock import SystemClock
from rookery_server.domain.fanout import Crossing
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.migrations import SchemaNotReady
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import compare_and_set
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.keyspaces import PLAN, migrate

FORGET = compare_and_set("forget_agreed", "DELETE FROM settings WHERE name = ? IF EXISTS")


async def start(settings: CassandraSettings, crossing: Crossing) -> None:
    """As far as a process comes through the gate."""
    await (await CassandraStore.open(settings, Metrics(), SystemClock(), crossing=crossing)).close()


async def agree(settings: CassandraSettings, crossing: Crossing) -> None:
    await migrate(settings, replace(PLAN, crossing=crossing, agree=True))


@pytest.fixture(autouse=True)
async def nothing_agreed(cassandra_settings: CassandraSettings) -> None:
    store = await CassandraStore.open(cassandra_settings, Metrics(), SystemClock())
    await store._session.prepare((FORGET,))
    await store._session.execute(FORGET, ("tiers",))
    await store.close()


async def test_tier_T11_who_is_beyond_the_bounds_does_not_start(cassandra_settings: CassandraSettings) -> None:
    await migrate(cassandra_settings)
    await start(cassandra_settings, Crossing(announce_s=10_000))
    with pytest.raises(SchemaNotReady, match="announce_s is 4000, agreed is at least 7200"):
        await start(cassandra_settings, Crossing(announce_s=4_000))
    await migrate(cassandra_settings, replace(PLAN, crossing=Crossing(announce_s=4_000)))
    with pytest.raises(SchemaNotReady, match="announce_s is 4000"):
        await start(cassandra_settings, Crossing(announce_s=4_000))


async def test_tier_T11_the_first_to_start_sets_them_where_nothing_is_agreed(
    cassandra_settings: CassandraSettings,
) -> None:
    both = (Crossing(announce_s=9_000), Crossing(announce_s=8_000))
    started = await asyncio.gather(*(start(cassandra_settings, one) for one in both), return_exceptions=True)
    assert None in started
    await start(cassandra_settings, both[0])
    with pytest.raises(SchemaNotReady):
        await start(cassandra_settings, Crossing())


async def test_tier_T11_they_are_changed_in_safe_steps(cassandra_settings: CassandraSettings) -> None:
    longer = Crossing(announce_s=20_000, relations_life_s=10_000)
    await start(cassandra_settings, Crossing())
    with pytest.raises(SchemaNotReady, match="relations_life_s is 10000, agreed is at most 3600"):
        await start(cassandra_settings, longer)
    with pytest.raises(SchemaNotReady, match="first agree on a longer announce_s"):
        await agree(cassandra_settings, longer)
    await agree(cassandra_settings, Crossing(announce_s=20_000))
    for _ in range(2):
        await agree(cassandra_settings, longer)
    await start(cassandra_settings, longer)
    with pytest.raises(SchemaNotReady, match="announce_s is 7200, agreed is at least 20000"):
        await start(cassandra_settings, Crossing())
    await agree(cassandra_settings, Crossing(announce_s=20_000))
    with pytest.raises(SchemaNotReady, match="wait"):
        await agree(cassandra_settings, Crossing())
