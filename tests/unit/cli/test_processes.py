"""`rookery migrate`: what it is told and what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from rookery_server.cli.app import app
from rookery_server.config import Settings
from rookery_server.store.cassandra.migrations import Installed
from rookery_server.wiring import processes


@pytest.mark.parametrize(("words", "agrees"), [(["migrate"], False), (["migrate", "--agree"], True)])
def test_times_are_agreed_upon_only_when_that_is_asked_for(
    words: list[str], agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[bool]()

    async def migrate(settings: Settings, report: Callable[[str], None], agree: bool) -> Installed:
        report("step by step")
        told.append(agree)
        return Installed(7, 16)

    monkeypatch.setattr(processes, "migrate", migrate)
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, told) == (0, [agrees])
    assert done.output.splitlines() == ["step by step", "schema at step 7, 16 outbox shards"]
