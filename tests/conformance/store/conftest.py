"""The store's contract against every adapter.  A new adapter is one row of `ADAPTERS`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rookery_server.domain import limits
from rookery_server.domain.clock import Clock, SystemClock
from rookery_server.store.cassandra import counts, outbox
from rookery_server.store.interface import Store
from rookery_server.store.memory import MemoryStoreWorld
from tests.conformance.ids import Ids
from tests.conformance.store.cassandra_fixture import (  # noqa: F401 - fixtures, found here by name
    SHARDS,
    cassandra_session,
    cassandra_settings,
    empty_keyspace,
    make_cassandra_store,
)

MakeStore = Callable[[Clock], Store]
ADAPTERS = {"memory": "make_memory_store", "cassandra": "make_cassandra_store"}
"""By name, the fixture that gives stores over one empty keyspace, as several processes would have them."""


@pytest.fixture
def make_memory_store() -> MakeStore:
    return MemoryStoreWorld(SystemClock(), shards=SHARDS).client


@pytest.fixture(params=ADAPTERS)
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    made: MakeStore = request.getfixturevalue(ADAPTERS[request.param])
    return made


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store(SystemClock())


@pytest.fixture
def short_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the real adapter reads at once, cut to a few rows: so that a handful of rows takes several reads."""
    monkeypatch.setattr(outbox, "_PAGE", 3)
    monkeypatch.setattr(counts, "_BODIES_PAGE", 3)
    monkeypatch.setattr(limits, "ROWS_A_PAGE", 3)


@pytest.fixture
def ids() -> Ids:
    return Ids()
