"""Runs groups of tests with real engines side by side, one pytest process each, somewhat more of them than there are
processors: they wait more than they work.

``python -m tests.support.engine_groups [--cassandra] GROUP GROUP … [--then GROUP …] -- OPTIONS``: a group is paths with
commas between them.  Output and exit code are those of `side_by_side`.

`--cassandra`: one node for all of them, unless ROOKERY_TEST_CASSANDRA names one that runs already; they use keyspaces
of their own.  Caches know nothing of keyspaces, so each group starts its own (and the first uses the one that
ROOKERY_TEST_VALKEY names).  `--then`: groups that begin when all others are done and that node is stopped: tests that
start Cassandra nodes themselves.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from tests.support import side_by_side
from tests.support.engines import CASSANDRA, NOWHERE, PLACE, VALKEY
from tests.support.side_by_side import PROCESSORS, Groups, together

AT_ONCE = PROCESSORS + 1
"""Five installations on two processors kept each other waiting for longer than their calls may last."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    groups: Groups
    then: Groups
    options: Sequence[str]
    cassandra: bool


def parse(arguments: Sequence[str]) -> Plan:
    told, options = _cut(arguments, "--")
    groups, then = _cut(told, "--then")
    cassandra = "--cassandra" in groups
    return Plan(_groups(groups), _groups(then), options, cassandra)


def _cut(words: Sequence[str], mark: str) -> tuple[Sequence[str], Sequence[str]]:
    at = list(words).index(mark) if mark in words else len(words)
    return words[:at], words[at + 1 :]


def _groups(words: Sequence[str]) -> Groups:
    return [word.split(",") for word in words if word != "--cassandra"]


def carry_out(plan: Plan) -> int:
    """The exit code of all together."""
    with one_node(os.environ) if plan.cassandra else _none() as told:
        codes = [run(plan.groups, plan.options, told)]
    if plan.then:
        codes.append(run(plan.then, plan.options))
    return together(codes)


@contextmanager
def _none() -> Iterator[Mapping[str, str]]:
    yield {}


@contextmanager
def one_node(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """What names a Cassandra node to tests.  It ends with this process, whatever happens to it."""
    if CASSANDRA in environ:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="rookery-tests-") as folder:
        spec = StackSpec(name="tests", durable=False, throwaway=True, valkey_at=NOWHERE)
        with Stack(spec, folder=Path(folder, "shared")) as stack:
            yield {CASSANDRA: f"{stack.cassandra_contact_points[0]}:{stack.cassandra_port}"}


def run(groups: Groups, options: Sequence[str], told: Mapping[str, str] | None = None) -> int:
    """The exit code of these groups; `told`: what all of them are told by their environment."""
    return side_by_side.run(groups, options, AT_ONCE, lambda number: environ_of(number, len(groups), told or {}))


def environ_of(number: int, groups: int, told: Mapping[str, str]) -> dict[str, str]:
    """Of one of so many groups."""
    environ = {**os.environ, **told, PLACE: f"{number}/{groups}"}
    if number:
        environ.pop(VALKEY, None)
    return environ


if __name__ == "__main__":
    sys.exit(carry_out(parse(sys.argv[1:])))
