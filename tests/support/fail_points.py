"""The test's end of `failing_process`: start processes that will kill themselves, watch them do it."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rookery_server.dev import ports, processes
from rookery_server.dev.installation import HOST
from rookery_server.dev.processes import ProcessRef

START_S = 60.0
"""A process is ready within two seconds; the rest is for a machine with other work."""

PRIMARIES = 3
SAVED = "save_progress fanout"
"""The last step of saving: the progress of counts goes before it, where there is some to be saved."""


@dataclass(frozen=True, slots=True)
class Failing:
    """One process.  `target` is where it takes calls (a server)."""

    process: ProcessRef
    target: str
    metrics_url: str
    trace_file: Path
    log: Path

    def trace(self) -> list[str]:
        """The counted calls that were answered."""
        return self.trace_file.read_text().split("\n")[:-1]

    def calls(self) -> list[str]:
        """All that were answered, counted or not."""
        return self.trace_file.with_suffix(".trace.all").read_text().split("\n")[:-1]

    @property
    def alive(self) -> bool:
        return processes.is_alive(self.process)

    async def says(self, sign: str) -> None:
        """Returns once its log has this."""
        await self._comes_to(lambda: self.log.exists() and sign in self.log.read_text())

    async def is_done(self) -> None:
        """Returns once this worker holds the shard, has moved W on all three primaries and then saved its position, for
        deliveries as well as for counts: whoever succeeds it begins here."""
        known = len(self.calls())
        await self._comes_to(lambda: moved_and_saved(self.calls()[known:]))

    async def _comes_to(self, condition: Callable[[], bool]) -> None:
        """Returns once it holds.  Raises AssertionError, with its log, for a process that dies or takes too long."""
        until = time.monotonic() + START_S
        while not condition():
            assert self.alive, self.log.read_text()
            assert time.monotonic() < until, f"after {self.calls()[-20:]}:\n{self.log.read_text()}"
            await asyncio.sleep(0.02)  # the poll of the condition waited for, which its files tell

    async def arm(self) -> None:
        """From here on calls about tweets minted from now on count."""
        processes.send(self.process, signal.SIGUSR1)
        while not self.trace_file.with_suffix(".trace.armed").exists():  # noqa: ASYNC110  (a file cannot be awaited)
            await asyncio.sleep(0.01)

    async def died(self, within_s: float = 30.0) -> None:
        """Returns when it is gone.  Raises AssertionError, with its log, for one that lives on."""
        until = time.monotonic() + within_s
        while self.alive:
            assert time.monotonic() < until, f"lives on after {self.trace()}:\n{self.log.read_text()}"
            await asyncio.sleep(0.02)  # an exit cannot be awaited: it is not our child

    async def kill(self) -> None:
        processes.send(self.process, signal.SIGKILL)
        await self.died()

    async def stop(self) -> None:
        """In order: it releases what it holds."""
        processes.send(self.process, signal.SIGTERM)
        await self.died()


def moved_and_saved(calls: Sequence[str]) -> bool:
    """Whether W was moved on all three primaries, and then the position was saved."""
    moves = [place for place, name in enumerate(calls) if name == "advance"]
    return len(moves) >= PRIMARIES and SAVED in calls[moves[PRIMARIES - 1] :]


class FailingProcesses:
    """Starts them; all of them end with it, and with this process."""

    def __init__(self, folder: Path, settings: Mapping[str, str]):
        self._folder, self._settings, self._numbers = folder, dict(settings), itertools.count(1)
        self._rng = random.Random()
        argv = [sys.executable, "-m", "tests.support.failing_process"]
        with (folder / "forks.log").open("ab") as log:
            self._host = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._host.stdin
        assert self._host.stdout
        self._host.stdin.close()
        self._host.wait()
        self._host.stdout.close()

    async def server(self, **point: Any) -> Failing:
        port, health, metrics = ports.choose(3, rng=self._rng)
        env = {"SERVE__PORT": port, "SERVE__HEALTH_PORT": health, "SERVE__METRICS_PORT": metrics}
        return await self._start("serve", env, f"{HOST}:{port}", metrics, point)

    async def worker(self, **point: Any) -> Failing:
        health, metrics = ports.choose(2, rng=self._rng)
        env = {"WORK__HEALTH_PORT": health, "WORK__METRICS_PORT": metrics}
        return await self._start("work", env, "", metrics, point)

    async def _start(
        self, role: str, env: Mapping[str, int], target: str, metrics: int, point: Mapping[str, Any]
    ) -> Failing:
        number = next(self._numbers)
        trace, log = self._folder / f"{role}-{number}.trace", self._folder / f"{role}-{number}.log"
        for file in (trace, trace.with_suffix(".trace.all")):
            file.touch()
        own = {f"ROOKERY_{name}": str(value) for name, value in env.items()}
        order = {"role": role, "env": {**self._settings, **own}, "log": str(log), "trace": str(trace), **point}
        pid = await asyncio.to_thread(self._ask, json.dumps(order))
        found = processes.reference(pid)
        assert found is not None, log.read_text()
        started = Failing(found, target, f"http://{HOST}:{metrics}/metrics", trace, log)
        await started.says('"event": "serving"' if role == "serve" else '"event": "working"')
        return started

    def _ask(self, order: str) -> int:
        assert self._host.stdin
        assert self._host.stdout
        self._host.stdin.write(order + "\n")
        self._host.stdin.flush()
        return int(self._host.stdout.readline())
