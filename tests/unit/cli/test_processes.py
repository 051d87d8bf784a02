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
    report(f"agree: {agree}")
    return Installed(7, 16)

processes.migrate = migrate
app(sys.argv[1:])
"""


@pytest.mark.parametrize(("words", "agrees"), [(["migrate"], False), (["migrate", "--agree"], True)])
def test_times_are_agreed_upon_only_when_that_is_asked_for(words: list[str], agrees: bool) -> None:
    """In a process of its own: commands set up logging for theirs."""
    argv = [sys.executable, "-c", MIGRATE, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"agree: {agrees}", "schema at step 7, 16 outbox shards"]
