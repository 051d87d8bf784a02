"""A stack of another command, from outside; the keeper is real, `sleep` stands for engines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery_server.dev import attached, places, processes, state
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.keeping import KeeperLink


@pytest.fixture
def link(tmp_path: Path) -> Iterator[KeeperLink]:
    made = KeeperLink(tmp_path)
    yield made
    made.stop()


def test_what_was_killed_is_started_again_as_it_was(link: KeeperLink, tmp_path: Path) -> None:
    first = link.start("engine", ["sleep", "601"], tmp_path, tmp_path / "engine.log")
    processes.send(first, signal.SIGKILL)
    assert processes.wait_gone(first, 5.0)

    second = attached.start_again(tmp_path, "engine")

    assert second != first
    assert state.running(tmp_path).engines == {"engine": second}
    assert Path(f"/proc/{second.pid}/cmdline").read_bytes() == b"sleep\x00601\x00"
    link.stop()
    assert not processes.is_alive(second)


def test_what_runs_is_left_alone(link: KeeperLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "_AGAIN_SECONDS", 0.3)
    engine = link.start("engine", ["sleep", "600"], tmp_path, tmp_path / "engine.log")
    with pytest.raises(LocalClusterError, match="was not started again"):
        attached.start_again(tmp_path, "engine")
    assert state.running(tmp_path).engines == {"engine": engine}


def test_a_name_nobody_started_is_no_command(link: KeeperLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "_AGAIN_SECONDS", 0.3)
    with pytest.raises(LocalClusterError):
        attached.start_again(tmp_path, "stranger")
    assert state.running(tmp_path).engines == {}


def test_without_a_keeper_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match="keeper"):
        attached.start_again(tmp_path, "engine")


def test_a_stack_that_is_not_up_cannot_be_drilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "stacks_folder", lambda environ=None: tmp_path)
    with pytest.raises(LocalClusterError, match="No stack 'nowhere' runs"):
        attached.attach("nowhere")
