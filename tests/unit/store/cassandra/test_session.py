"""What the session makes of the driver, where no node is needed to see it."""

from __future__ import annotations

import itertools
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import session
from rookery_server.store.cassandra.errors import OneHop
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.settings import CassandraSettings


async def test_a_name_without_an_address_is_a_ring_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StoreUnavailable) as refused:
        await CassandraSession.connect(CassandraSettings(("ring.test",)), Metrics())
    assert refused.value.outcome is Outcome.NONE


async def test_a_ring_that_is_away_for_days_is_connected_to_again() -> None:
    cluster = session._cluster(CassandraSettings(("127.0.0.1",)), OneHop(lambda kind: None), administer=False)
    try:
        waits = list(itertools.islice(cluster.reconnection_policy.new_schedule(), 100_000))
    finally:
        cluster.shutdown()
    assert len(waits) == 100_000
    assert max(waits) <= 10.0


async def test_nodes_are_those_of_our_data_centre_that_are_up_by_address() -> None:
    made = CassandraSession(CassandraSettings(("a",), data_centre="here"), Metrics())
    hosts = [
        SimpleNamespace(endpoint="d", datacenter="here", is_up=True),
        SimpleNamespace(endpoint="c", datacenter="here", is_up=False),
        SimpleNamespace(endpoint="b", datacenter="there", is_up=True),
        SimpleNamespace(endpoint="a", datacenter="here", is_up=True),
    ]
    made._cluster = SimpleNamespace(metadata=SimpleNamespace(all_hosts=lambda: hosts))
    assert [node.endpoint for node in made.nodes()] == ["a", "d"]
