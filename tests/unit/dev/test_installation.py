"""How an installation is set up on a ring that has just been started."""

from __future__ import annotations

import subprocess
from typing import Any, cast

import pytest

from rookery_server.cli.session import EXIT_UNAVAILABLE
from rookery_server.dev import installation
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.installation import Installation


class Ring:
    cassandra_contact_points, cassandra_port, valkey_nodes = ("127.0.0.1",), 9042, ()


def migrating(monkeypatch: pytest.MonkeyPatch, *codes: int) -> tuple[Installation, list[int]]:
    """An installation whose `rookery migrate` ends with these codes, one after the other, and what is left of them."""
    left = list(codes)

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        code = left.pop(0)
        return subprocess.CompletedProcess(argv, code, stdout="schema at step 7\n", stderr=f"ended with {code}\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(installation, "_AGAIN_SECONDS", 0.0)
    return Installation(cast("Any", Ring())), left


def test_a_ring_that_does_not_answer_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, left = migrating(monkeypatch, EXIT_UNAVAILABLE, EXIT_UNAVAILABLE, 0)
    assert made.migrate() == "schema at step 7"
    assert left == []


def test_what_was_refused_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, left = migrating(monkeypatch, 1, 0)
    with pytest.raises(LocalClusterError, match="ended with 1"):
        made.migrate()
    assert left == [0]


def test_a_ring_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "MIGRATE_SECONDS", 0.0)
    made, _ = migrating(monkeypatch, EXIT_UNAVAILABLE, 0)
    with pytest.raises(LocalClusterError, match=f"ended with {EXIT_UNAVAILABLE}"):
        made.migrate()
