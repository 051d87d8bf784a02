"""A keyspace of its own for a run of tests: migrated once, emptied before each test, dropped at the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rookery_server.dev.stack import Stack
from rookery_server.dev.state import Address
from rookery_server.domain.clock import Clock, SystemClock
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import migrations, schema_files
from rookery_server.store.cassandra.session import CassandraSession, SessionHook
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import read
from rookery_server.store.cassandra.store import STATEMENTS, CassandraStore

SHARDS = 4
KEPT = {"schema_version", "settings"}
ANY_ROW = {
    table: read(f"any_row_of_{table}", f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 - names of our own files
    for table in schema_files.tables()
    if table not in KEPT
}
PLAN = migrations.Plan(replication_factor=1, outbox_shards=SHARDS)


def settings_of(address: Address, keyspace: str) -> CassandraSettings:
    """Patient: tests share two cores with a node that has just started."""
    host, port = address
    return CassandraSettings((host,), port, keyspace, read_s=5.0, write_s=5.0, lwt_s=5.0, slot_wait_s=5.0)


def fresh_name() -> str:
    return f"test_{secrets.token_hex(4)}"


async def migrate(settings: CassandraSettings, plan: migrations.Plan = PLAN) -> migrations.Installed:
    return await migrations.migrate(settings, Metrics(), SystemClock(), "tests", plan, lambda line: None)


async def drop(settings: CassandraSettings) -> None:
    session = await CassandraSession.connect(settings, Metrics(), administer=True)
    await session.define(f"DROP KEYSPACE IF EXISTS {settings.keyspace}", session.nodes()[0], in_keyspace=False)
    await session.close()


@pytest.fixture(scope="session")
async def cassandra_settings(stack: Stack, cassandra_address: Address) -> AsyncIterator[CassandraSettings]:
    settings = settings_of(cassandra_address, fresh_name())
    await migrate(settings)
    yield settings
    if stack.spec.cassandra_at:  # engines of this run go with all they hold, and may be gone by now
        await drop(settings)


@pytest.fixture(scope="session")
async def cassandra_session(cassandra_settings: CassandraSettings) -> AsyncIterator[CassandraSession]:
    """Every statement prepared; shared by all tests of the run."""
    session = await CassandraSession.connect(cassandra_settings, Metrics())
    await session.prepare(STATEMENTS)
    await session.prepare(ANY_ROW.values())
    yield session
    await session.close()


@pytest.fixture
async def empty_keyspace(cassandra_session: CassandraSession) -> CassandraSession:
    """Only what holds a row is truncated: a look costs a node far less."""
    node = cassandra_session.nodes()[0]
    held = await asyncio.gather(*(cassandra_session.execute(look) for look in ANY_ROW.values()))
    emptied = (f"TRUNCATE {table}" for table, rows in zip(ANY_ROW, held, strict=True) if rows)
    await asyncio.gather(*(cassandra_session.define(ddl, node) for ddl in emptied))
    return cassandra_session


@pytest.fixture
def make_cassandra_store(empty_keyspace: CassandraSession) -> Callable[[Clock], CassandraStore]:
    """Stores over one empty keyspace, as several processes would have them.  They need no closing."""
    return lambda clock: CassandraStore(empty_keyspace, SHARDS, clock)


@pytest.fixture
def cassandra_store(make_cassandra_store: Callable[[Clock], CassandraStore]) -> CassandraStore:
    return make_cassandra_store(SystemClock())


@pytest.fixture
async def open_hooked(
    cassandra_settings: CassandraSettings, empty_keyspace: CassandraSession
) -> AsyncIterator[Callable[[SessionHook], Awaitable[CassandraStore]]]:
    """Opens stores whose every request passes through a hook."""
    opened: list[CassandraStore] = []

    async def open_(hook: SessionHook) -> CassandraStore:
        opened.append(await CassandraStore.open(cassandra_settings, Metrics(), SystemClock(), hook=hook))
        return opened[-1]

    yield open_
    for store in opened:
        await store.close()
