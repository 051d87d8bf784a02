import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery_server.dev import processes
from rookery_server.dev.processes import ProcessRef


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_reused_pid_is_another_process_and_gets_no_signal(sleeper: subprocess.Popen[bytes]) -> None:
    real = processes.reference(sleeper.pid)
    assert real is not None
    earlier = ProcessRef(real.pid, real.started - 100, real.boot)

    assert processes.is_alive(real)
    assert not processes.is_alive(earlier)
    assert not processes.send(earlier, signal.SIGKILL)
    assert processes.is_alive(real)


def test_a_killed_process_is_gone_before_its_parent_asks(sleeper: subprocess.Popen[bytes]) -> None:
    real = processes.reference(sleeper.pid)
    assert real is not None

    assert processes.send(real, signal.SIGKILL)
    assert processes.wait_gone(real, 5.0)
    assert sleeper.returncode is None
    assert processes.reference(sleeper.pid) is None


def test_a_process_put_to_sleep_can_still_be_ended(sleeper: subprocess.Popen[bytes]) -> None:
    real = processes.reference(sleeper.pid)
    assert real is not None
    processes.send(real, signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert processes.is_stopped(real)

    processes.end(real, grace=5.0)

    assert not processes.is_alive(real)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert processes.tail(log) == ""
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))

    assert processes.tail(log, lines=2) == "line 9998\nline 9999"
    assert processes.tail(log, lines=5, since=log.stat().st_size - 10) == "line 9999"
