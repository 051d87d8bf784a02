"""Whole installations of real processes.  `running` is one for the run: one server, one worker, on the shared engines.
`ground` and `town` are a module's own, over caches of their own, for what kills and stops."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rookery import Client
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.stack import Stack
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.events import Event, shard_of
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.engines import OwnCaches
from tests.support.ground import forks, ground, witness
from tests.support.patient import PatientClient
from tests.support.readers import now_ms
from tests.support.real_run import await_claim
from tests.support.town import town

__all__ = ["forks", "ground", "town", "witness"]

FEW_SHARDS = {"ROOKERY_OUTBOX__SHARDS": "4"}
"""Each costs the one Cassandra node of all these tests a poll a second."""


SETUP_TOO_S = 400
"""Of a test with what is set up for it: on a machine with other work an installation takes a minute and a half."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SETUP_TOO_S))


@dataclass(frozen=True, slots=True)
class Running:
    installation: Installation
    server: Service
    worker: Service
    keyspace: str
    cassandra: tuple[str, int]

    async def events(self, subject: int, since_ms: int, until_ms: int) -> list[Event]:
        """What the outbox holds of one subject, read past the server."""
        host, port = self.cassandra
        settings = CassandraSettings((host,), port, self.keyspace)
        store = await CassandraStore.open(settings, Metrics(), SystemClock())
        try:
            rows = await store.read(shard_of(subject, store.shards), since_ms, until_ms)
        finally:
            await store.close()
        return [row.event for row in rows if row.event is not None and row.event.subject == subject]


@pytest.fixture(scope="session")
def running(stack: Stack) -> Iterator[Running]:
    """A keyspace of its own, so that several runs can share engines that are kept running."""
    keyspace = f"e2e_{secrets.token_hex(4)}"
    installation = Installation(stack, keyspace=keyspace, settings=FEW_SHARDS)
    installation.migrate()
    running = Running(
        installation,
        installation.start_server("e2e-serve"),
        installation.start_worker("e2e-work"),
        keyspace,
        (stack.cassandra_contact_points[0], stack.cassandra_port),
    )
    yield running
    running.server.node.stop()
    running.worker.node.stop()


@pytest.fixture(scope="module")
def own_stack(own_caches: OwnCaches) -> Iterator[Stack]:
    with own_caches() as stack:
        yield stack


@pytest.fixture(scope="session")
async def claiming(running: Running) -> Running:
    """Once a page claims: from then on nodes are known, and removals can be settled."""
    async with PatientClient(running.server.target) as client:
        reader = (await client.create_user(f"first_{secrets.token_hex(4)}")).user.id
        await await_claim(client.acting_as(reader), now_ms())
    return running


@pytest.fixture
async def client(claiming: Running) -> AsyncIterator[Client]:
    async with PatientClient(claiming.server.target, connections=4) as client:
        yield client


@pytest.fixture
def unique() -> str:
    """A prefix for usernames, new for each test: accounts are for ever."""
    return "t" + secrets.token_hex(4)
