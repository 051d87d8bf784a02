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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rookery_server.dev import ports, processes
from rookery_server.dev.installation import HOST
from rookery_server.dev.processes import ProcessRef

START_S = 60.0
"""A process is ready within two seconds; the rest is for a machine with other work."""


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

    @property
    def alive(self) -> bool:
        return processes.is_alive(self.process)

    async def arm(self) -> None:
        """From here on calls about tweets minted from now on count."""
        processes.send(self.process, signal.SIGUSR1)
        while not self.trace_file.with_suffix(".trace.armed").exists():  # noqa: ASYNC110  (a file cannot be awaited)
            await asyncio.sleep(0.01)

    async def died(self, within_s: float = 30.0) -> None:
        """Returns when it is gone.  Raises AssertionError for one that lives on."""
        until = time.monotonic() + within_s
        while self.alive:
            assert time.monotonic() < until, f"lives on after {self.trace()}"
            await asyncio.sleep(0.02)  # an exit cannot be awaited: it is not our child

    async def kill(self) -> None:
        processes.send(self.process, signal.SIGKILL)
        await self.died()

    async def stop(self) -> None:
        """In order: it releases what it holds."""
        processes.send(self.process, signal.SIGTERM)
        await self.died()


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
        trace.touch()
        own = {f"ROOKERY_{name}": str(value) for name, value in env.items()}
        order = {"role": role, "env": {**self._settings, **own}, "log": str(log), "trace": str(trace), **point}
        pid = await asyncio.to_thread(self._ask, json.dumps(order))
        found = processes.reference(pid)
        assert found is not None, log.read_text()
        started = Failing(found, target, f"http://{HOST}:{metrics}/metrics", trace, log)
        await self._ready(started, '"event": "serving"' if role == "serve" else '"event": "working"')
        return started

    def _ask(self, order: str) -> int:
        assert self._host.stdin
        assert self._host.stdout
        self._host.stdin.write(order + "\n")
        self._host.stdin.flush()
        return int(self._host.stdout.readline())

    async def _ready(self, started: Failing, sign: str) -> None:
        until = time.monotonic() + START_S
        while not (started.log.exists() and sign in started.log.read_text()):
            assert started.alive, started.log.read_text()
            assert time.monotonic() < until, started.log.read_text()
            await asyncio.sleep(0.02)  # the poll of the condition waited for: a line in its log
