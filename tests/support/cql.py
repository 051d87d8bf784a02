"""Reads just enough CQL to hold laws over our own statements and tables: one style, no comments inside."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)(.*)", re.DOTALL)
_KEY = re.compile(r"PRIMARY KEY \((?:\(([^)]*)\)|(\w+))(?:, ([^)]*))?\)")
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \(([^)]*)\)(.*)")
_UPDATE = re.compile(r"UPDATE (\w+) SET (.*?) WHERE (.*?)(?: IF (.*))?")
_SELECT = re.compile(r"SELECT (.*?) FROM ([\w.]+)(?: WHERE (.*?))?(?: (?:PER PARTITION )?LIMIT \?)?")


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: dict[str, str]
    """By name, the type as written."""
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    options: str

    def number(self, option: str) -> int | None:
        found = re.search(rf"\b{option} = (\d+)", self.options)
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Parsed:
    """`verb` SELECT, INSERT or UPDATE; `columns` all that are named; `equal` those compared with `=` in WHERE, `among`
    those with `IN`; `selected` those of the answer."""

    verb: str
    table: str
    columns: frozenset[str]
    equal: frozenset[str]
    conditional: bool
    timestamped: bool
    among: frozenset[str] = frozenset()
    selected: frozenset[str] = frozenset()


def table(text: str) -> Table:
    """Raises ValueError for what is not one of our CREATE TABLE statements."""
    found = _TABLE.fullmatch(text)
    key = _KEY.search(text)
    if found is None or key is None:
        raise ValueError(f"not a table of ours: {text[:60]}")
    lines = [line.strip().rstrip(",") for line in found[2].splitlines()]
    columns = dict(line.split(" ", 1) for line in lines if line and not line.startswith("PRIMARY KEY"))
    partition = tuple(_names(key[1] or key[2]))
    return Table(found[1], columns, partition, tuple(_names(key[3] or "")), found[3])


def statement(text: str) -> Parsed:
    """Raises ValueError for what is not one of the shapes we write."""
    if found := _INSERT.fullmatch(text):
        rest = found[4]
        columns = frozenset(_names(found[2]))
        return Parsed("INSERT", found[1], columns, columns, "IF NOT EXISTS" in rest, "USING TIMESTAMP ?" in rest)
    if found := _UPDATE.fullmatch(text):
        where, conditions = found[3], found[4] or ""
        named = frozenset(re.findall(r"(\w+) (?:=|<=|>=|<|>) \?", f"{found[2]} {where} {conditions}"))
        return Parsed("UPDATE", found[1], named, _equal(where), bool(conditions), "TIMESTAMP" in text)
    if found := _SELECT.fullmatch(text):
        where = found[3] or ""
        selected = {re.sub(r"^WRITETIME\((\w+)\)$", r"\1", column) for column in _names(found[1])}
        named = frozenset(selected | set(re.findall(r"(\w+) (?:=|<=|>=|<|>|IN) \?", where)))
        among = frozenset(re.findall(r"(\w+) IN \?", where))
        return Parsed("SELECT", found[2], named, _equal(where), False, False, among, frozenset(selected))
    raise ValueError(f"not a statement of ours: {text}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _equal(where: str) -> frozenset[str]:
    return frozenset(re.findall(r"(\w+) = \?", where))
