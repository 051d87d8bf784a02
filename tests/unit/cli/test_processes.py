"""`rookery migrate`: what it is told and what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIGRATE = """
import sys
from rookery_server.cli.app import app
from rookery_server.store.cassandra.migrations import Installed
from rookery_server.wiring import processes

async def migrate(settings, report, agree):
    {first}
    report(f"agree: {agree}")
    return Installed(7, 16)

processes.migrate = migrate
app(sys.argv[1:])
"""


@pytest.mark.parametrize(("words", "agrees"), [(["migrate"], False), (["migrate", "--agree"], True)])
def test_times_are_agreed_upon_only_when_that_is_asked_for(words: list[str], agrees: bool) -> None:
    done = _migrated("pass", words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"agree: {agrees}", "schema at step 7, 16 outbox shards"]


def test_a_store_out_of_reach_is_one_line_and_the_exit_code_of_that() -> None:
    done = _migrated("from rookery_server.domain.errors import StoreUnavailable; raise StoreUnavailable", ["migrate"])
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["temporarily unavailable"]


def _migrated(first: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """In a process of its own: commands set up logging for theirs."""
    argv = [sys.executable, "-c", MIGRATE.replace("{first}", first), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
