"""Groups of tests at once: in which order, and what each is told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import engine_groups
from tests.support.engine_groups import Plan, parse
from tests.support.engines import CASSANDRA, PLACE, VALKEY, share_of_ports

QUIET = ["-q", "-p", "no:cacheprovider"]


def test_groups_options_and_engines_are_read_from_the_command_line() -> None:
    assert parse(["a,b", "c"]) == Plan([["a", "b"], ["c"]], [], [], False)
    assert parse(["--cassandra", "a", "b", "--then", "c,d", "--", "-k", "x"]) == Plan(
        [["a"], ["b"]], [["c", "d"]], ["-k", "x"], True
    )


def test_what_starts_nodes_itself_begins_when_the_shared_one_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"

    @contextmanager
    def one_node(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        with told.open("a") as out:
            out.write("up\n")
        yield {CASSANDRA: "here:1"}
        with told.open("a") as out:
            out.write("down\n")

    monkeypatch.setattr(engine_groups, "one_node", one_node)
    monkeypatch.delenv(CASSANDRA, raising=False)
    say = f"import os\ndef test_it(): open({str(told)!r}, 'a').write(os.environ.get({CASSANDRA!r}, 'none') + '\\n')\n"
    for name in ("test_first.py", "test_beside.py", "test_then.py"):
        (tmp_path / name).write_text(say)
    first, beside, then = ([str(tmp_path / f"test_{name}.py")] for name in ("first", "beside", "then"))
    assert engine_groups.carry_out(Plan([first, beside], [then], QUIET, True)) == 0
    assert told.read_text().split() == ["up", "here:1", "here:1", "down", "none"]


def test_a_node_that_is_named_is_used_and_its_cache_by_the_first_group_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_groups.one_node({CASSANDRA: "there:1"}) as told:
        assert told == {}
    monkeypatch.setenv(VALKEY, "there:2")
    first, second = (engine_groups.environ_of(number, 2, {CASSANDRA: "there:1"}) for number in range(2))
    assert (first[VALKEY], first[CASSANDRA], first[PLACE]) == ("there:2", "there:1", "0/2")
    assert (VALKEY in second, second[CASSANDRA], second[PLACE]) == (False, "there:1", "1/2")
    assert second["PATH"] == os.environ["PATH"]


def test_runs_engine_groups_choose_from_ports_of_their_own() -> None:
    assert share_of_ports("0/1", 10_000, 19_999) == (10_000, 19_999)
    shares = [share_of_ports(f"{number}/3", 10_000, 19_999) for number in range(3)]
    ports = [port for lowest, highest in shares for port in range(lowest, highest + 1)]
    assert len(ports) == len(set(ports)) > 9_990
    assert {*ports} <= {*range(10_000, 20_000)}
