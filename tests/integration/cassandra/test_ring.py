"""Three nodes, RF 3: lost and regained, one schema for all, one silent node hidden, no quorum said plainly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from cassandra import cluster

from rookery_server.dev import cql
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.migrations import Plan
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.interface import TweetRow
from tests.support.engines import NOWHERE, SpecialStacks
from tests.support.keyspaces import drop, migrate
from tests.support.waiting import until

AUTHOR = 9
CLOCK = SystemClock()
PATIENCE_S = 60.0
LATE_S = 1.0
"""A connection on a machine with other work."""
DRIVER_HEARTBEAT_S = 30.0
"""The driver's own interval and time-out: what it needs at the least, left to itself."""
READ_TIMEOUT_S = 5.0
"""Cassandra's read_request_timeout, as the nodes are started."""

pytestmark = pytest.mark.timeout(300)  # three JVMs on two cores


@pytest.fixture(scope="module")
def ring(special_stacks: SpecialStacks) -> Iterator[Stack]:
    with special_stacks(StackSpec(name="ring", nodes=3, durable=False, throwaway=True, valkey_at=NOWHERE)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def store(ring: Stack) -> AsyncIterator[CassandraStore]:
    settings = CassandraSettings(ring.cassandra_contact_points[:1], ring.cassandra_port, "ring")
    await migrate(settings, Plan(replication_factor=3, outbox_shards=4))
    store = await CassandraStore.open(settings, Metrics(), CLOCK)
    yield store
    await store.close()


async def _post(store: CassandraStore, sequence: int) -> TweetRow:
    now = CLOCK.now_ms()
    tweet = ids.compose(now, 1, sequence)
    row = TweetRow(tweet, AUTHOR, b"body", ids.write_timestamp_us(tweet))
    await store.post(row, Event(ids.compose(now, 2, sequence), EventKind.POST, AUTHOR, tweet, row.version_us))
    return row


def _of_all(ring: Stack, connect_s: float = 10.0) -> CassandraSettings:
    return CassandraSettings(ring.cassandra_contact_points, ring.cassandra_port, "beside", connect_s=connect_s)


def _connected(session: CassandraSession) -> set[str]:
    """The nodes it would send to: held for up, with a connection."""
    open_to = {host for host, state in session._session.get_pool_state().items() if state["open_count"]}
    return {node.address for node in session.nodes() if node in open_to}


def _conditions(ring: Stack) -> list[str]:
    return [engine.condition for engine in ring.status().engines]


async def test_a_ring_of_three_loses_and_regains_a_node(ring: Stack) -> None:
    """First, while there is no schema: nodes that keep nothing lose theirs when they are killed."""
    assert ring.cassandra_contact_points == ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    second, third = ring.cassandra[1:]
    second.kill()
    assert not cql.answers(second.host, second.port)
    second.restart()
    assert cql.answers(second.host, second.port)

    third.stop_signal()
    await until(lambda: _conditions(ring) == ["ready", "ready", "asleep"])
    third.cont()
    third.wait_ready(time.monotonic() + PATIENCE_S)
    await until(lambda: ring.status().is_ready)


async def test_one_contact_point_finds_the_ring_and_every_clock(store: CassandraStore) -> None:
    async def told_by_all() -> tuple[int, ...]:
        offsets = await store.coordinator_clocks_ms()
        return offsets if len(offsets) == 3 else ()

    offsets = await until(told_by_all, "an answer of all three")
    assert all(abs(offset) < 1000 for offset in offsets)


async def test_a_node_that_is_connected_last_is_one_to_migrate_through(
    ring: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver has its session with the first connection; the first node by address, which migrates, may be later."""

    class LateToTheFirst(cluster.HostConnection):  # type: ignore[misc]
        def __init__(self, host: Any, *arguments: Any) -> None:
            if host.address == ring.cassandra_contact_points[0]:
                time.sleep(LATE_S)
            super().__init__(host, *arguments)

    monkeypatch.setattr(cluster, "HostConnection", LateToTheFirst)
    settings = _of_all(ring)
    await migrate(settings, Plan(replication_factor=3, outbox_shards=4))
    session = await CassandraSession.connect(settings, Metrics())
    assert _connected(session) == set(ring.cassandra_contact_points)
    await session.close()
    await drop(settings)


async def test_a_node_that_let_a_connection_wait_is_used_when_it_wakes_up(ring: Stack) -> None:
    settings = _of_all(ring, connect_s=5.0)
    *others, last = ring.cassandra
    last.stop_signal()
    try:
        session = await CassandraSession.connect(settings, Metrics())
        await until(lambda: [node.address for node in session.nodes()] == [node.host for node in others])
    finally:
        last.cont()
    await until(lambda: last.host in _connected(session))
    await session.close()


async def test_a_node_that_falls_silent_is_left_within_seconds(ring: Stack) -> None:
    session = await CassandraSession.connect(_of_all(ring), Metrics())
    first = ring.cassandra[0]
    assert first.host in _connected(session)
    began = time.monotonic()
    first.stop_signal()
    try:
        await until(lambda: first.host not in _connected(session))
        assert time.monotonic() - began < DRIVER_HEARTBEAT_S
    finally:
        first.cont()
    await until(lambda: first.host in _connected(session))
    await session.close()


async def test_reads_do_not_wait_for_a_node_that_stands_still(ring: Stack, store: CassandraStore) -> None:
    # A table's threshold for asking around is computed first when it is one read time-out (5 s) old.
    began, rows = time.monotonic(), list[TweetRow]()
    while time.monotonic() - began < READ_TIMEOUT_S + 1 or len(rows) < 40:
        rows.append(await _post(store, len(rows) % 1000))
        await store.get_tweets([rows[-1].tweet_id])
    ring.cassandra[1].stop_signal()
    try:
        slowest = 0.0
        for row in rows[:40]:
            began = time.monotonic()
            assert await store.get_tweets([row.tweet_id]) == {row.tweet_id: row}
            slowest = max(slowest, time.monotonic() - began)
    finally:
        ring.cassandra[1].cont()
    assert slowest < store._session.settings.read_s


async def test_without_a_quorum_a_write_is_known_not_to_have_happened(ring: Stack, store: CassandraStore) -> None:
    for node in ring.cassandra[1:]:
        node.kill()
    deadline = time.monotonic() + PATIENCE_S
    unknown = 0
    while True:  # until the last node has noticed: before, a coordinator may have tried
        with pytest.raises(StoreUnavailable) as refused:
            await _post(store, 900)
        if refused.value.outcome is Outcome.NONE:
            break
        unknown += 1
        assert time.monotonic() < deadline, f"{unknown} unknown outcomes"
        await asyncio.sleep(0.2)
    with pytest.raises(StoreUnavailable) as read:
        await store.get_tweets([1])
    assert read.value.outcome is Outcome.NONE
    with pytest.raises(StoreUnavailable) as claim:
        await store.claim_request(1, "a", b"hash", 1)
    assert claim.value.outcome is Outcome.UNKNOWN
