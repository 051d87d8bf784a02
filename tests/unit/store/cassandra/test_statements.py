"""Laws over every CQL constant of the adapter, against the tables as they are defined."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import rookery_server.store.cassandra as package
from rookery_server.store.cassandra import migrations, schema_files, store
from rookery_server.store.cassandra.statements import Profile, Statement, read_many, write
from tests.support import cql

TABLES = {name: cql.table(text) for name, text in schema_files.tables().items()}
COMPARE_AND_SET = {
    "users",
    "usernames",
    "requests",
    "leases",
    "outbox_progress",
    "settings",
    "schema_version",
    "author_tiers",
}
OURS = tuple(s for s in (*store.STATEMENTS, *migrations.STATEMENTS) if "system" not in s.cql)


def _declared() -> set[Statement]:
    found: set[Statement] = set()
    for module in pkgutil.iter_modules(package.__path__):
        names = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        found.update(value for value in names.values() if isinstance(value, Statement))
    return found


def broken(statement: Statement) -> str:
    """Which law a statement breaks; empty when none."""
    parsed = cql.statement(statement.cql)
    table = TABLES.get(parsed.table)
    if table is None:
        return "unknown table"
    if unknown := parsed.columns - set(table.columns):
        return f"unknown columns {unknown}"
    if statement.profile is Profile.READ_MANY:
        return _broken_of_many(parsed, table)
    if not set(table.partition_key) <= parsed.equal:
        return "not inside one partition"
    if parsed.verb == "SELECT":
        lwt_row = parsed.table in COMPARE_AND_SET
        expected = {Profile.READ} | ({Profile.LWT} if lwt_row and statement.at_serial else set())
        return "" if statement.profile in expected else "a read with the wrong profile"
    if parsed.table in COMPARE_AND_SET:
        if parsed.timestamped:
            return "a timestamp on a compare-and-set table"
        # A print of a window is only ever written beside the conditional statement on its partition.
        fenced = parsed.conditional or statement.name == "progress_print"
        return (
            "" if fenced and statement.profile is Profile.LWT else "an unconditional write of a compare-and-set table"
        )
    if parsed.conditional:
        return "compare-and-set on a table with timestamps"
    if not parsed.timestamped:
        return "no timestamp from an id"
    return "" if statement.profile is Profile.WRITE else "a write with the wrong profile"


def _broken_of_many(parsed: cql.Parsed, table: cql.Table) -> str:
    """Whole partitions by name, and rows that say whose they are."""
    if parsed.verb != "SELECT" or parsed.table in COMPARE_AND_SET:
        return "only plain tables are read by many partitions"
    if not set(table.partition_key) <= parsed.equal | parsed.among or not parsed.among <= set(table.partition_key):
        return "not inside named partitions"
    return "" if len(parsed.among) == 1 and parsed.among <= parsed.selected else "rows that do not say whose they are"


@pytest.mark.parametrize("statement", OURS, ids=lambda statement: statement.name)
def test_keeps_the_laws(statement: Statement) -> None:
    assert broken(statement) == ""


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (write("x", "INSERT INTO tweets (tweet_id, body) VALUES (?, ?)"), "no timestamp"),
        (write("x", "INSERT INTO tweets (tweet_id, text) VALUES (?, ?) USING TIMESTAMP ?"), "unknown columns"),
        (write("x", "INSERT INTO nothing (a) VALUES (?) USING TIMESTAMP ?"), "unknown table"),
        (Statement("x", "INSERT INTO tweets (tweet_id) VALUES (?) IF NOT EXISTS", Profile.LWT), "compare-and-set on"),
        (Statement("x", "INSERT INTO leases (name) VALUES (?) USING TIMESTAMP ?", Profile.LWT), "a timestamp on"),
        (Statement("x", "INSERT INTO leases (name) VALUES (?)", Profile.LWT), "unconditional"),
        (Statement("x", "SELECT body FROM user_tweets WHERE user_id = ?", Profile.READ), "one partition"),
        (Statement("x", "SELECT body FROM tweets WHERE tweet_id = ?", Profile.WRITE), "wrong profile"),
        (read_many("x", "SELECT owner FROM leases WHERE name IN ?"), "only plain tables"),
        (read_many("x", "SELECT user_id FROM user_tweets WHERE user_id IN ?"), "named partitions"),
        (read_many("x", "SELECT body FROM tweets WHERE tweet_id IN ?"), "do not say whose"),
        (read_many("x", "SELECT user_id FROM user_tweets WHERE user_id IN ? AND bucket IN ?"), "do not say whose"),
    ],
)
def test_every_law_can_be_broken(wrong: Statement, law: str) -> None:
    assert law in broken(wrong)


def test_every_constant_is_prepared_once() -> None:
    prepared = (*store.STATEMENTS, *migrations.STATEMENTS)
    by_hand = {migrations.KEYSPACE_FIND, migrations.TABLES_FIND, migrations.NODE_SCHEMA}
    assert _declared() == set(prepared) | by_hand
    assert len({statement.name for statement in prepared}) == len(prepared)


@pytest.mark.parametrize("statement", OURS, ids=lambda statement: statement.name)
def test_holds_no_value_and_no_null(statement: Statement) -> None:
    assert "'" not in statement.cql
    assert "null" not in statement.cql.lower()
    assert "ALLOW FILTERING" not in statement.cql
    assert not statement.cql.startswith("DELETE")


@pytest.mark.parametrize("statement", OURS, ids=lambda statement: statement.name)
def test_is_qualified_with_the_keyspace(statement: Statement) -> None:
    table = cql.statement(statement.cql).table
    inside = statement.inside("ks")
    assert inside.count("ks.") == 1
    assert f"ks.{table} " in inside


def test_what_names_its_own_keyspace_keeps_it() -> None:
    assert migrations.NODE_SCHEMA.inside("ks") == migrations.NODE_SCHEMA.cql
