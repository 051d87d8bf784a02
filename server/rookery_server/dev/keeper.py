"""The keeper: one small process per stack that starts the engines and never outlives or loses them.

It runs as `python -m rookery_server.dev.keeper FOLDER` and reads one JSON request per line:
`{"start": {"name", "argv", "cwd", "log", "beside"}}` and `{"detach": true}`; each gets one JSON line back.  Others may
ask for one thing only, by a file in FOLDER/again named after an engine that has ended, and SIGUSR1: to start it again.

No orphans, whatever dies:
- the owner (a terminal, a test run) dies, even by kill -9: the pipe from it ends, the keeper stops all engines;
- the keeper dies by kill -9: the kernel kills the engines (PR_SET_PDEATHSIG). That signal comes when the *thread*
  that started a process ends, hence this process with one thread that stays;
- a terminal's Ctrl-C reaches only the owner, as the keeper leads a session of its own.

The lock on FOLDER/lock is held for life: whoever gets it knows that no keeper is left.
Standard library only, so that it starts fast and stays small.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery_server.dev import processes
from rookery_server.dev.records import write_json

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Cassandra needs 0.6 s to stop with our settings, 4.5 s when it announces the shutdown to its ring first.
STOP_GRACE_SECONDS = 10.0


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        # SIGKILL, as a process put to sleep by SIGSTOP hears nothing else.
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)  # the parent died in between: nobody would ever stop this process

    return in_child


class Keeper:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._requests: dict[str, dict[str, Any]] = {}  # how each was started last
        self._beside: set[str] = set()  # names of what uses the engines, to be stopped before them
        self._in_child = _die_with(os.getpid())
        self._detached = False
        self._stopping = False
        self._pending = b""  # the beginning of a request whose end has not come yet

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "start" in request:
            return self._start(**request["start"])
        if request.get("detach"):
            self._detached = True
            return {"detached": True}
        return {"error": "unknown request"}

    def _start(self, name: str, argv: list[str], cwd: str, log: str, beside: bool) -> dict[str, Any]:
        if before := self._engines.get(name):
            if processes.reference(before.pid):
                return {"error": f"{name} is running already"}
            before.wait()  # it has ended; only its exit code is still on the way
        self.reap()
        try:
            with Path(log).open("ab") as out:
                engine = subprocess.Popen(
                    argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=self._in_child
                )
        except OSError as error:
            return {"error": f"{argv[0]}: {error.strerror}"}
        self._engines[name] = engine
        self._requests[name] = {"name": name, "argv": argv, "cwd": cwd, "log": log, "beside": beside}
        if beside:
            self._beside.add(name)
        self._record()
        process = processes.reference(engine.pid)
        # An engine that ended within microseconds has no start time any more: the owner sees it as dead.
        return {"pid": engine.pid, "started": process.started if process else 0}

    def start_again(self) -> None:
        for wish in sorted((self._folder / "again").glob("*")):
            wish.unlink(missing_ok=True)
            if wish.name in self._requests:
                self._start(**self._requests[wish.name])

    def reap(self) -> None:
        ended = [name for name, engine in self._engines.items() if engine.poll() is not None]
        for name in ended:
            del self._engines[name]
        if ended:
            self._record()

    def stop_all(self) -> None:
        """What uses the engines first, so that it ends in peace; then the engines, all at once."""
        self._stop([engine for name, engine in self._engines.items() if name in self._beside])
        self._stop(list(self._engines.values()))
        self._engines.clear()
        (self._folder / "running.json").unlink(missing_ok=True)

    def _stop(self, engines: list[subprocess.Popen[bytes]]) -> None:
        """Ask them, wait, and kill what is left."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            for engine in engines:
                engine.send_signal(number)
        deadline = time.monotonic() + STOP_GRACE_SECONDS
        for engine in engines:
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(max(0.0, deadline - time.monotonic()))
            engine.kill()
            engine.wait()

    def _record(self) -> None:
        running = {name: processes.reference(engine.pid) for name, engine in self._engines.items()}
        write_json(
            self._folder / "running.json",
            {
                "boot": processes.boot_id(),
                "keeper": _pair(processes.reference(os.getpid())),
                "engines": {name: _pair(process) for name, process in running.items() if process},
            },
        )

    def serve(self) -> None:
        """Until told to stop by a signal, or by the end of the pipe while somebody owns the stack."""
        self._record()
        wake, ring = socket.socketpair()
        with wake, ring, selectors.DefaultSelector() as selector:
            wake.setblocking(False)
            ring.setblocking(False)
            signal.set_wakeup_fd(ring.fileno())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._on_stop_signal)
            for number in (signal.SIGCHLD, signal.SIGUSR1):
                signal.signal(number, lambda *_: None)
            selector.register(wake, selectors.EVENT_READ, lambda: self._on_signal(wake))
            selector.register(0, selectors.EVENT_READ, lambda: self._on_input(selector))
            while not self._stopping:
                for key, _ in selector.select():
                    key.data()
            signal.set_wakeup_fd(-1)

    def _on_signal(self, wake: socket.socket) -> None:
        wake.recv(4096)
        self.reap()
        self.start_again()

    def _on_input(self, selector: selectors.BaseSelector) -> None:
        chunk = os.read(0, 65_536)
        if not chunk:
            selector.unregister(0)
            self._stopping = not self._detached
            return
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            _reply(self.answer(json.loads(line)))

    def _on_stop_signal(self, *_: object) -> None:
        self._stopping = True


def _pair(process: processes.ProcessRef | None) -> list[int] | None:
    return [process.pid, process.started] if process else None


def _reply(answer: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner died while waiting; the end of its pipe is read next
        os.write(1, json.dumps(answer).encode() + b"\n")


def main(folder: Path) -> int:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _reply({"error": "locked"})
            return 3
        keeper = Keeper(folder)
        _reply({"ready": True})
        try:
            keeper.serve()
        finally:
            keeper.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
