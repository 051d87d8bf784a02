"""The files of `schema/` and the laws of its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rookery_server.domain import limits
from rookery_server.store.cassandra import schema_files
from tests.support import cql

DAY_S = 86_400
HINT_WINDOW_S = 3 * 3600
"""Cassandra's max_hint_window: how long a coordinator keeps what a dead replica missed."""
LAST_AUDIT_S = DAY_S
WEEKLY_REPAIR_S = 7 * DAY_S
TABLES = {name: cql.table(text) for name, text in schema_files.tables().items()}
REGISTERS = ("following", "followers", "blocks", "blocked_by", "mutes", "follow_requests")
FOOTGUNS = re.compile(r"\b(?:counter|MATERIALIZED VIEW|CREATE INDEX|list<|set<|map<|frozen<)", re.IGNORECASE)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_half_a_batch_can_always_be_replayed(table: cql.Table) -> None:
    grace = table.number("gc_grace_seconds")
    assert grace is not None
    assert grace >= DAY_S


@pytest.mark.parametrize("name", REGISTERS)
def test_no_removal_outlives_its_tombstone(name: str) -> None:
    grace = TABLES[name].number("gc_grace_seconds") or 0
    assert grace > WEEKLY_REPAIR_S
    assert limits.REMOVED_EDGE_LIFE_S > WEEKLY_REPAIR_S


def test_lives_are_longer_than_what_can_still_come() -> None:
    assert (TABLES["outbox"].number("default_time_to_live") or 0) > LAST_AUDIT_S
    assert (TABLES["requests"].number("default_time_to_live") or 0) > HINT_WINDOW_S
    assert TABLES["requests"].number("default_time_to_live") == limits.REQUEST_ID_LIFE_S


def test_only_what_dies_by_time_has_a_life() -> None:
    mortal = {name for name, table in TABLES.items() if table.number("default_time_to_live")}
    assert mortal == {"outbox", "requests"}
    for name, table in TABLES.items():
        strategy = "TimeWindowCompactionStrategy" if name in mortal else "UnifiedCompactionStrategy"
        assert strategy in table.options


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_stopped_replica_is_asked_around_even_where_reads_are_rare(table: cql.Table) -> None:
    assert "speculative_retry = 'MIN(99PERCENTILE,50MS)'" in table.options


def test_both_sides_of_an_edge_have_the_same_columns() -> None:
    assert TABLES["following"].columns == TABLES["followers"].columns


def test_the_mirror_of_a_block_adds_its_shard_alone() -> None:
    assert TABLES["blocked_by"].columns == TABLES["blocks"].columns | {"shard": "smallint"}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_table_is_named_as_its_file_and_plain(table: cql.Table) -> None:
    assert schema_files.tables()[table.name].startswith(f"CREATE TABLE IF NOT EXISTS {table.name} (")
    assert not FOOTGUNS.search(schema_files.tables()[table.name])


def test_steps_only_add_and_can_be_run_again() -> None:
    for step in schema_files.steps():
        for statement in step.statements:
            assert re.match(r"(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE \w+ ADD IF NOT EXISTS) ", statement), step.name


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_files, "folder", lambda: tmp_path)
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_one.cql").write_text("CREATE TABLE IF NOT EXISTS a (b int PRIMARY KEY);\n")
    assert [step.version for step in schema_files.steps()] == [1]
    (folder / "0003_three.cql").write_text("")
    with pytest.raises(ValueError, match=r"0003_three\.cql: not the next migration, 0002_<what>\.cql"):
        schema_files.steps()


def test_comments_and_semicolons_part_statements() -> None:
    assert schema_files.statements_of("-- a; b\nONE (\n  x -- why; so\n);\n\nTWO;\n-- end\n") == (
        "ONE (\n  x\n)",
        "TWO",
    )


@pytest.mark.parametrize("name", ["", "Rookery", "a b", "x" * 49, "1a", "a;DROP", "a'"])
def test_a_keyspace_name_that_would_need_quotes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a keyspace name"):
        schema_files.create_keyspace(name, "datacenter1", 1)


def test_the_keyspace_takes_its_parameters() -> None:
    text = schema_files.create_keyspace("abc", "eu-west", 3)
    assert text.startswith("CREATE KEYSPACE IF NOT EXISTS abc")
    assert "{'class': 'NetworkTopologyStrategy', 'eu-west': 3}" in text
    with pytest.raises(ValueError, match="not a data centre"):
        schema_files.create_keyspace("abc", "x': 1, 'y", 3)
