"""`rookery dev …` as a person runs it, with Valkey only: the commands do the same for both."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rookery_server.dev import processes, state

RUN = [sys.executable, "-c", "from rookery_server.dev.commands import dev_app; dev_app()"]
UP = ["up", "--name", "one", "--cassandra", "127.0.0.1:1"]

Dev = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "ROOKERY_DEV_DIR": str(tmp_path), "COLUMNS": "200"}


@pytest.fixture
def dev(environ: dict[str, str]) -> Iterator[Dev]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*RUN, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False)

    yield run
    run("wipe", "--name", "one", "--yes")


@pytest.fixture
def foreground(environ: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`up`, past the line that says it is ready."""
    argv = [*RUN, *UP]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert any("Ctrl-C stops it" in line for line in process.stdout)
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_engine_outlives_the_foreground(
    number: signal.Signals, foreground: subprocess.Popen[str], tmp_path: Path
) -> None:
    running = state.running(tmp_path / "one")
    assert running.keeper is not None
    assert len(running.engines) == 3

    os.killpg(foreground.pid, number)  # as a terminal does it: to the whole group

    assert foreground.wait(20) == (-9 if number == signal.SIGKILL else 0)
    for process in (*running.engines.values(), running.keeper):
        assert processes.wait_gone(process, 10.0)


def test_detached_it_goes_on_until_down_and_wipe(dev: Dev, tmp_path: Path) -> None:
    assert "no stack yet" in dev("status").stdout

    started = dev(*UP, "--detach")
    assert started.returncode == 0, started.stderr
    assert "Ready after" in started.stdout

    status = dev("status", "--json")
    (seen,) = json.loads(status.stdout)
    assert status.returncode == 0
    assert seen["is_ready"] is True
    assert [engine["condition"] for engine in seen["engines"]] == ["ready"] * 3

    again = dev(*UP)
    assert again.returncode == 1
    assert "'one' is up already" in again.stderr
    assert "ready" in dev("status", "--name", "one").stdout

    port = seen["engines"][0]["port"]
    assert "Ready to accept connections" in dev("logs", f"valkey-{port}", "--name", "one").stdout
    assert dev("logs", "nonsense", "--name", "one").returncode == 1

    assert dev("down", "--name", "one").returncode == 0
    assert dev("status").returncode == 3
    assert dev("wipe", "--name", "one", "--yes").returncode == 0
    assert not (tmp_path / "one").exists()


def test_what_goes_wrong_is_a_message_not_a_traceback(dev: Dev) -> None:
    for arguments, message in (
        (["up", "--name", "../x"], "is no name for a stack"),
        (["up", "--name", "one", "--nodes", "2"], "1 or 3 Cassandra nodes, not 2"),
        (["up", "--name", "one", "--valkey", "nowhere"], "is not HOST:PORT"),
        (["logs", "x", "--name", "one"], "no log of 'x'"),
    ):
        done = dev(*arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
