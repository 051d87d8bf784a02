"""The session on a real node: what it refuses, bounds, counts and gives back."""

from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest
from cassandra.io.libevreactor import LibevConnection

from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import Internal, Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Edge
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import graph, tweets
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import read
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.interface import TweetRow


async def test_a_null_is_refused_before_it_leaves(cassandra_session: CassandraSession) -> None:
    with pytest.raises(Internal, match="null bound in tweet_put"):
        await cassandra_session.execute(tweets.TWEET_PUT, (1, None, b"", 1))
    with pytest.raises(Internal, match="null bound in following_put"):
        await cassandra_session.batch("x", [(graph.FOLLOWING_PUT, (1, 2, None, 1, 1, 1, 0))])


async def test_the_driver_runs_on_libev_with_checksummed_frames(cassandra_session: CassandraSession) -> None:
    cluster = cassandra_session._cluster
    assert cluster.connection_class is LibevConnection
    assert cluster.protocol_version == 5
    assert not cluster.monitor_reporting_enabled


async def test_slots_come_back_whatever_happened(cassandra_settings: CassandraSettings) -> None:
    metrics = Metrics()
    settings = dataclasses.replace(cassandra_settings, in_flight=2, slot_wait_s=10.0)
    session = await CassandraSession.connect(settings, metrics)
    await session.prepare((tweets.TWEET_GET,))
    calls = [asyncio.create_task(session.execute(tweets.TWEET_GET, (id_,))) for id_ in range(40)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [end for end in ended if end != [] and not isinstance(end, asyncio.CancelledError)] == []
    for _ in range(3):  # more than there are slots: none was lost
        assert await session.execute_many(tweets.TWEET_GET, [(1,), (2,)]) == [[], []]
    in_flight = metrics.registry.get_sample_value("rookery_cassandra_in_flight", {"profile": "read"})
    assert in_flight == 0
    await session.close()


async def test_without_a_slot_in_time_nothing_happened(cassandra_settings: CassandraSettings) -> None:
    settings = dataclasses.replace(cassandra_settings, in_flight=1, slot_wait_s=0.0)
    session = await CassandraSession.connect(settings, Metrics())
    await session.prepare((tweets.TWEET_GET,))
    first, second = await asyncio.gather(
        *(session.execute(tweets.TWEET_GET, (id_,)) for id_ in (1, 2)), return_exceptions=True
    )
    assert first == []
    assert isinstance(second, StoreUnavailable)
    assert second.outcome is Outcome.NONE
    await session.close()


async def test_what_is_under_way_at_the_end_is_unknown(cassandra_settings: CassandraSettings) -> None:
    store = await CassandraStore.open(cassandra_settings, Metrics(), SystemClock())
    now = SystemClock().now_ms()
    posts = []
    for sequence in range(100):
        tweet = ids.compose(now, 1, sequence)
        row = TweetRow(tweet, 5, b"body", ids.write_timestamp_us(tweet))
        event = Event(ids.compose(now, 2, sequence), EventKind.POST, 5, tweet, row.version_us)
        posts.append(asyncio.create_task(store.post(row, event)))
    await asyncio.sleep(0)
    await store.close()
    for end in await asyncio.gather(*posts, return_exceptions=True):
        assert end is None or (isinstance(end, StoreUnavailable) and end.outcome is Outcome.UNKNOWN)


async def test_a_refused_statement_is_our_bug(cassandra_session: CassandraSession) -> None:
    with pytest.raises(Internal) as refused:
        await cassandra_session.prepare((read("wrong", "SELECT nothing FROM tweets WHERE tweet_id = ?"),))
    assert refused.value.public == "the store refused a statement"


async def test_nobody_there_is_unavailable_and_nothing_happened(cassandra_settings: CassandraSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        settings = dataclasses.replace(cassandra_settings, port=taken.getsockname()[1], connect_s=2.0)
        with pytest.raises(StoreUnavailable) as nobody:
            await CassandraSession.connect(settings, Metrics())
    assert nobody.value.outcome is Outcome.NONE


async def test_a_page_of_followers_and_followees_goes_by_key(
    cassandra_store: CassandraStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rookery_server.domain.limits.ROWS_A_PAGE", 7)
    now = SystemClock().now_ms()
    writes = []
    for other in range(1, 31):
        id_ = ids.compose(now, 3, other)
        edge = Edge(500, other, other % 3 != 0, ids.write_timestamp_us(id_))
        writes.append(cassandra_store.write_edge(edge, Event(id_, EventKind.FOLLOW, 500, other, edge.version_us)))
    await asyncio.gather(*writes)
    following = await cassandra_store.following(500)
    assert [edge.followee_id for edge in following] == list(range(1, 31))
    assert [edge.on for edge in following] == [other % 3 != 0 for other in range(1, 31)]


async def test_the_clocks_of_one_machine_agree(cassandra_store: CassandraStore) -> None:
    (offset,) = await cassandra_store.coordinator_clocks_ms()
    assert abs(offset) < 1000
