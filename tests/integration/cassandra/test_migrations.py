"""Migrations on a real engine: from zero they equal the tables, and nothing half done or changed passes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rookery_server.dev.state import Address
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import migrations, schema_files
from rookery_server.store.cassandra.migrations import Installed, SchemaNotReady
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import ask_node
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.keyspaces import PLAN, SHARDS, drop, fresh_name, migrate, settings_of

LATEST = schema_files.steps()[-1].version
COLUMNS = ask_node(
    "columns",
    "SELECT table_name, column_name, type, kind, position, clustering_order FROM system_schema.columns"
    " WHERE keyspace_name = ?",
)
OPTIONS = ask_node(
    "options",
    "SELECT table_name, compaction, default_time_to_live, gc_grace_seconds, read_repair, compression, caching,"
    " bloom_filter_fp_chance, speculative_retry, flags FROM system_schema.tables WHERE keyspace_name = ?",
)


@pytest.fixture
async def settings(cassandra_address: Address) -> AsyncIterator[CassandraSettings]:
    """Of a keyspace that is not there."""
    settings = settings_of(cassandra_address, fresh_name())
    yield settings
    await drop(settings)


async def _shape(session: CassandraSession) -> tuple[set[str], set[str]]:
    name = (session.settings.keyspace,)
    columns: Any = await session.execute(COLUMNS, name)
    options: Any = await session.execute(OPTIONS, name)
    return {repr(row) for row in columns}, {repr(row) for row in options}


async def test_migrations_from_zero_equal_the_tables(cassandra_address: Address, settings: CassandraSettings) -> None:
    await migrate(settings)
    beside = settings_of(cassandra_address, fresh_name())
    migrated = await CassandraSession.connect(settings, Metrics(), administer=True)
    defined = await CassandraSession.connect(beside, Metrics(), administer=True)
    try:
        node = defined.nodes()[0]
        await defined.define(schema_files.create_keyspace(beside.keyspace, "datacenter1", 1), node, in_keyspace=False)
        for table in schema_files.tables().values():
            await defined.define(table, node)
        for session in (migrated, defined):
            await session.prepare((COLUMNS, OPTIONS))
        columns, options = await _shape(migrated)
        assert (columns, options) == await _shape(defined)
        assert len(options) == len(schema_files.tables())
        assert all("'BLOCKING'" in option for option in options)  # quorum reads repair what they saw
    finally:
        await migrated.close()
        await defined.close()
        await drop(beside)


async def test_migrating_again_changes_nothing(settings: CassandraSettings) -> None:
    lines: list[str] = []
    for _ in range(2):
        installed = await migrations.migrate(settings, Metrics(), SystemClock(), "tests", PLAN, lines.append)
        assert installed == Installed(LATEST, SHARDS)
    assert [line for line in lines if line.startswith("applying")] == [
        f"applying {step.name}" for step in schema_files.steps()
    ]


async def test_two_who_migrate_at_once_both_succeed(settings: CassandraSettings) -> None:
    both = await asyncio.gather(migrate(settings), migrate(settings))
    assert set(both) == {Installed(LATEST, SHARDS)}


async def test_a_step_cut_off_half_way_is_finished(
    settings: CassandraSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    define = CassandraSession.define
    left = 7

    async def cut_off(self: CassandraSession, ddl: str, node: Any, **more: Any) -> None:
        nonlocal left
        if left == 0:
            raise ConnectionError("killed")
        left -= 1
        await define(self, ddl, node, **more)

    monkeypatch.setattr(CassandraSession, "define", cut_off)
    with pytest.raises(ConnectionError, match="killed"):
        await migrate(settings)
    monkeypatch.undo()
    with pytest.raises(SchemaNotReady, match="run `rookery migrate`"):
        await CassandraStore.open(settings, Metrics(), SystemClock())
    assert await migrate(settings) == Installed(LATEST, SHARDS)


async def test_a_step_changed_after_it_was_applied_is_refused(
    settings: CassandraSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(settings)
    *first, last = schema_files.steps()
    monkeypatch.setattr(schema_files, "steps", lambda: (*first, dataclasses.replace(last, checksum="edited")))
    with pytest.raises(SchemaNotReady, match=f"{last.name} was changed after it was applied"):
        await migrate(settings)


async def test_the_number_of_shards_is_for_life(settings: CassandraSettings) -> None:
    await migrate(settings)
    with pytest.raises(SchemaNotReady, match=f"created with {SHARDS} outbox shards"):
        await migrate(settings, dataclasses.replace(PLAN, outbox_shards=SHARDS + 1))
    with pytest.raises(SchemaNotReady, match=f"has {SHARDS} outbox shards, configured are 9"):
        await CassandraStore.open(settings, Metrics(), SystemClock(), shards=9)
    store = await CassandraStore.open(settings, Metrics(), SystemClock(), shards=SHARDS)
    assert store.shards == SHARDS
    await store.close()


async def test_the_gate_names_the_command(settings: CassandraSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SchemaNotReady, match="is not there or empty: run `rookery migrate`"):
        await CassandraStore.open(settings, Metrics(), SystemClock())
    await migrate(settings)
    *rest, last = schema_files.steps()
    newer = dataclasses.replace(last, version=last.version + 1, name="9999_newer.cql")
    with monkeypatch.context() as patched:
        patched.setattr(schema_files, "steps", lambda: (*rest, last, newer))
        with pytest.raises(SchemaNotReady, match=f"is at step {last.version}, {newer.version} is needed"):
            await CassandraStore.open(settings, Metrics(), SystemClock())
    # A keyspace that is newer than this release serves it: steps only add.
    monkeypatch.setattr(schema_files, "steps", lambda: tuple(rest))
    store = await CassandraStore.open(settings, Metrics(), SystemClock())
    await store.close()
