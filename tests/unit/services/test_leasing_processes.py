"""Real processes over two worker ids: killed, stopped, continued and restarted, their clocks stepping by ± 300 s."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery_server.domain import ids

PROGRAM = Path(__file__).with_name("minting_process.py")
RUN_S = 6.0


class Fleet:
    def __init__(self, where: Path) -> None:
        self.leases, self.log = where / "leases.json", where
        self.leases.touch()
        self.alive: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1
        owner = f"p{self.started}"
        command = [sys.executable, str(PROGRAM), str(self.leases), str(self.log / f"{owner}.ids"), owner]
        self.alive.append(subprocess.Popen([*command, str(self.started)]))

    def signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        self.alive.remove(process)
        self.signal(process, signal.SIGKILL)
        process.wait()

    def minted(self) -> list[list[int]]:
        """By process, in the order written; the last line of a killed one may be cut."""
        return [[int(line) for line in path.read_bytes().split(b"\n")[:-1]] for path in sorted(self.log.glob("*.ids"))]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    for process in list(fleet.alive):
        fleet.kill(process)


def test_lease_L5_real_processes_never_mint_one_id_twice(fleet: Fleet) -> None:
    chance, stopped, until = random.Random(5), list[subprocess.Popen[bytes]](), time.monotonic() + RUN_S
    for _ in range(3):
        fleet.start()
    while time.monotonic() < until:
        time.sleep(0.25)  # the faults' own rhythm: nothing is awaited
        for process in stopped:
            fleet.signal(process, signal.SIGCONT)
        stopped = [one for one in fleet.alive if chance.random() < 0.3]
        for process in stopped:
            fleet.signal(process, signal.SIGSTOP)
        if chance.random() < 0.3:
            fleet.kill(chance.choice(fleet.alive))
            fleet.start()
    for process in list(fleet.alive):
        fleet.kill(process)
    each = fleet.minted()
    minted = [id_ for one in each for id_ in one]
    assert len({ids.worker_of(id_) for id_ in minted}) == 2
    assert sum(bool(one) for one in each) >= 2, "one process after another held an id"
    assert len(minted) > 1_000
    assert len(set(minted)) == len(minted)
    assert all(one == sorted(one) for one in each)
