"""The keeper, a real process, with `sleep` for engines: what is left behind when something dies."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery_server.dev import processes, state
from rookery_server.dev.errors import LocalClusterError, NodeSilent, PortTaken, StackBusy
from rookery_server.dev.keeping import KeeperLink
from rookery_server.dev.node import Node
from rookery_server.dev.processes import ProcessRef

SLEEP = ["sleep", "600"]


@pytest.fixture
def link(tmp_path: Path) -> Iterator[KeeperLink]:
    made = KeeperLink(tmp_path)
    yield made
    made.stop()


def start(link: KeeperLink, folder: Path, name: str = "engine", argv: list[str] = SLEEP) -> ProcessRef:
    return link.start(name, argv, folder, folder / f"{name}.log")


def keeper(folder: Path) -> ProcessRef:
    found = state.running(folder).keeper
    assert found is not None
    return found


def test_engines_run_until_the_owner_stops(link: KeeperLink, tmp_path: Path) -> None:
    engines = [start(link, tmp_path, name) for name in ("a", "b")]
    assert state.running(tmp_path).engines == dict(zip("ab", engines, strict=True))
    assert state.is_kept(tmp_path)

    link.stop()

    assert not any(map(processes.is_alive, engines))
    assert state.running(tmp_path) == state.Running(None, {})
    assert not state.is_kept(tmp_path)


def test_an_engine_put_to_sleep_is_stopped_too(link: KeeperLink, tmp_path: Path) -> None:
    engine = start(link, tmp_path)
    processes.send(engine, signal.SIGSTOP)

    link.stop()

    assert not processes.is_alive(engine)


def test_an_engine_that_ends_is_forgotten_and_can_be_started_again(link: KeeperLink, tmp_path: Path) -> None:
    first = start(link, tmp_path)
    with pytest.raises(LocalClusterError, match="engine is running already"):
        start(link, tmp_path)

    processes.send(first, signal.SIGKILL)
    assert processes.wait_gone(first, 5.0)
    second = start(link, tmp_path)

    assert state.running(tmp_path).engines == {"engine": second}


def test_what_cannot_be_started_is_told(link: KeeperLink, tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match=r"engine could not be started: .* No such file"):
        start(link, tmp_path, argv=["/does/not/exist"])


def test_a_second_keeper_of_a_stack_is_refused(link: KeeperLink, tmp_path: Path) -> None:
    engine = start(link, tmp_path)

    with pytest.raises(StackBusy):
        KeeperLink(tmp_path)
    assert processes.is_alive(engine)


def test_engines_die_with_a_killed_keeper(link: KeeperLink, tmp_path: Path) -> None:
    engine = start(link, tmp_path)
    asleep = start(link, tmp_path, "asleep")
    processes.send(asleep, signal.SIGSTOP)

    processes.send(keeper(tmp_path), signal.SIGKILL)

    assert processes.wait_gone(engine, 5.0)
    assert processes.wait_gone(asleep, 5.0)
    with pytest.raises(LocalClusterError, match="has died; its engines died with it"):
        start(link, tmp_path)


OWNER = """
import sys, time
from pathlib import Path
from rookery_server.dev.keeping import KeeperLink

folder = Path(sys.argv[1])
link = KeeperLink(folder)
link.start("engine", ["sleep", "600"], folder, folder / "log")
if sys.argv[2] == "detach":
    link.detach()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", OWNER, str(tmp_path), "stay"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
        process.kill()


def test_engines_die_with_a_killed_owner(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    running = state.running(tmp_path)
    owner.kill()

    assert processes.wait_gone(running.engines["engine"], 10.0)
    assert processes.wait_gone(keeper_or_gone(running), 10.0)


def keeper_or_gone(running: state.Running) -> ProcessRef:
    assert running.keeper is not None
    return running.keeper


def test_detached_engines_outlive_their_owner_until_their_keeper_is_asked_to_stop(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path), "detach"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.kill()
    running = state.running(tmp_path)
    assert list(running.engines) == ["engine"]

    processes.end(keeper_or_gone(running), grace=10.0)

    assert state.running(tmp_path).engines == {}
    assert not processes.is_alive(running.engines["engine"])


def node(link: KeeperLink, folder: Path, script: str, *, answers: bool = False) -> Node:
    log = folder / "node.log"
    argv = ["sh", "-c", script]
    made = Node(
        "node",
        "127.0.0.1",
        10_000,
        log,
        launch=lambda: link.start("node", argv, folder, log),
        answers=lambda: answers,
    )
    made.start()
    return made


def test_a_node_that_ends_shows_the_end_of_its_log(link: KeeperLink, tmp_path: Path) -> None:
    (tmp_path / "node.log").write_text("Address already in use, said an earlier run\n")
    broken = node(link, tmp_path, "echo so it ends; exit 1")

    with pytest.raises(NodeSilent, match=r"node \(127.0.0.1:10000\) ended while starting") as told:
        broken.wait_ready(time.monotonic() + 10)
    assert told.value.log_end == "so it ends"
    assert "so it ends" in str(told.value)


def test_a_node_that_runs_and_says_nothing_is_told_apart(link: KeeperLink, tmp_path: Path) -> None:
    silent = node(link, tmp_path, "exec sleep 600")

    with pytest.raises(NodeSilent, match="is running but does not answer"):
        silent.wait_ready(time.monotonic())


def test_a_taken_port_is_recognised_in_the_log(link: KeeperLink, tmp_path: Path) -> None:
    refused = node(link, tmp_path, "echo 'Failed to bind port 10000 on 127.0.0.1.'; exit 3")

    with pytest.raises(PortTaken, match="found a port taken"):
        refused.wait_ready(time.monotonic() + 10)


def test_a_node_is_hurt_and_comes_back(link: KeeperLink, tmp_path: Path) -> None:
    engine = node(link, tmp_path, "exec sleep 600", answers=True)
    engine.wait_ready(time.monotonic() + 10)
    before = engine.process

    engine.stop_signal()
    assert engine.is_running
    engine.cont()
    engine.kill()
    assert not engine.is_running
    engine.restart()

    assert engine.is_running
    assert engine.process != before
