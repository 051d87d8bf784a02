"""Servers and workers that kill themselves at a chosen await: ``python -m tests.support.failing_process``.

Reads orders (JSON lines) from standard input and answers each with the pid of a process forked for it, so that imports
are paid for once; ends, and with it all of them, when the input does.  A forked process is exactly `rookery serve` or
`rookery work` but for two things, which exist nowhere in the product: its adapters are wrapped so that every awaited
call is counted, and after the call ordered it sends itself SIGKILL.  Lease times are short, so that a successor need
not be waited for.

An order: `role`; `env` = its settings; `log`; and what `FailPoint` takes.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from rookery_server import config
from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.session import Send
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.wiring import processes
from rookery_server.wiring.serving import ServerProcess
from rookery_server.wiring.working import WorkerProcess
from rookery_server.workers.settings import WorkerSettings

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>: the signal a process gets when its parent dies

# In the proportions of the design (renewed every 3 s, free after 10), a fifth as long.
RENEW_S, FREE_AFTER_S, SAVE_S = 0.5, 2.0, 1.0
LATE_PRINT_S = 2.0  # audits are a fifth as old too: an event applied late must not look missing to all of them

TWEET_ARGUMENT = {"user_tweet": 1, "place_author": 1, "deliver": 0}
"""Which argument of a call is the tweet it is about."""


@dataclass(slots=True)
class FailPoint:
    """Kills its own process right after the `at`-th counted call was answered, whatever the answer; 0 = never.

    `methods`: which calls count (none named: all).  `opens`: counting begins with the first such call.  `armed`: from
    the start, or else from SIGUSR1 on (then
    `trace`.armed is made); then calls about older tweets (a recovery's) do not count.  `trace`: the file
    that gets a line for each counted call; `trace`.all gets one for every call.
    """

    trace: str
    at: int = 0
    methods: tuple[str, ...] = ()
    opens: str = ""
    armed: bool = True
    late: str = ""
    """Name of a Cassandra batch: the first one is committed `late_s` later, the others are lost."""
    late_s: float = 0.0
    _count: int = field(default=0, init=False)
    _armed_ms: int = field(default=0, init=False)

    def arm(self, *_: object) -> None:
        self.armed, self._armed_ms = True, time.time_ns() // 1_000_000
        Path(self.trace + ".armed").touch()

    def passed(self, method: str, args: tuple[Any, ...]) -> None:
        name = _label(method, args)
        _append(self.trace + ".all", name)
        if not self.armed or self._is_old(method, args):
            return
        if name == self.opens:
            self.opens = ""
        if self.opens or (self.methods and name not in self.methods):
            return
        _append(self.trace, name)
        self._count += 1
        if self._count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_old(self, method: str, args: tuple[Any, ...]) -> bool:
        at = TWEET_ARGUMENT.get(method)
        return at is not None and ids.time_ms(args[at]) < self._armed_ms


class Counted:
    """An adapter whose every awaited call passes a fail point."""

    def __init__(self, adapter: Any, point: FailPoint):
        self._adapter, self._point = adapter, point

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        return self._counted(name, found) if inspect.iscoroutinefunction(found) else found

    def _counted(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def counted(*args: Any, **options: Any) -> Any:
            try:
                return await call(*args, **options)
            finally:
                self._point.passed(name, args)

        return counted


def _append(file: str, line: str) -> None:
    with Path(file).open("a") as lines:
        lines.write(line + "\n")


def _label(name: str, args: tuple[Any, ...]) -> str:
    """Leases of different kinds and progress of different readers are different steps: `take_lease shard`, `take_lease
    seat`, `save_progress fanout`."""
    of = args[0] if name.endswith(("_lease", "_progress")) and args else ""
    return f"{name} {getattr(of, 'name', of).split('/')[0]}".strip()


class LateBatch:
    """A session hook: the first batch of a name is committed late, all others never; none of them is answered."""

    def __init__(self, name: str, after_s: float):
        self._name, self._after_s = name, after_s
        self._late: list[asyncio.Task[None]] = []

    async def __call__(self, name: str, send: Send) -> Any:
        if name != self._name:
            return await send()
        if not self._late:
            self._late.append(asyncio.create_task(self._later(send)))
        raise StoreUnavailable(f"{name}: no answer", outcome=Outcome.UNKNOWN)

    async def _later(self, send: Send) -> None:
        await asyncio.sleep(self._after_s)
        await send()


def _failing_server(point: FailPoint) -> type[ServerProcess]:
    class FailingServer(ServerProcess):
        """Counts what calls do, and not what the process does besides: claims, heartbeat and worker id."""

        def _use_cases(self, store: Any, cache: Any, *rest: Any) -> Any:
            return super()._use_cases(Counted(store, point), Counted(cache, point), *rest)

    return FailingServer


def _failing_worker(point: FailPoint) -> type[WorkerProcess]:
    class FailingWorker(WorkerProcess):
        def __init__(
            self,
            store: Any,
            cache: Any,
            clock: Clock,
            metrics: Metrics,
            owner: str,
            health: str,
            settings: WorkerSettings,
        ):
            short = replace(
                settings,
                lease_renew_s=RENEW_S,
                lease_free_after_s=FREE_AFTER_S,
                save_every_s=SAVE_S,
                late_print_after_s=LATE_PRINT_S,
            )
            counted: tuple[Any, Any] = Counted(store, point), Counted(cache, point)
            super().__init__(*counted, clock, metrics, owner, health, short)

    return FailingWorker


def _become(role: str, env: dict[str, str], log: str, **point_options: Any) -> None:
    """The life of a forked process."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    with Path(log).open("ab", buffering=0) as out, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.environ.update(env)
    point = FailPoint(**point_options)
    signal.signal(signal.SIGUSR1, point.arm)
    parts: Any = processes
    parts.ServerProcess, parts.WorkerProcess = _failing_server(point), _failing_worker(point)
    if point.late:
        opened = functools.partial(CassandraStore.open, hook=LateBatch(point.late, point.late_s))
        parts.CassandraStore = type("HookedStore", (), {"open": staticmethod(opened)})
    processes.set_up_logging()
    run = processes.serve if role == "serve" else processes.work
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(config.load()))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's to fetch
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                _become(**order)
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
