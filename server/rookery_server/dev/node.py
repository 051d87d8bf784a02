"""One running engine, with the ways a test may hurt it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from rookery_server.dev import processes
from rookery_server.dev.errors import LocalClusterError, NodeSilent, PortTaken
from rookery_server.dev.processes import ProcessRef, tail

_STOP_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05
# How Cassandra (CQL port, storage port) and Valkey say it.
_PORT_TAKEN = ("Failed to bind port", "is in use by another process", "Address already in use")


class Node:
    """An engine process. All methods block; call them from a thread where an event loop must go on.

    `launch` starts the process, `answers` tells whether it is ready for its clients.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        log: Path,
        *,
        launch: Callable[[], ProcessRef],
        answers: Callable[[], bool],
    ) -> None:
        self.name, self.host, self.port, self.log = name, host, port, log
        self._launch, self._answers = launch, answers
        self._process: ProcessRef | None = None
        self._log_from = 0

    @property
    def process(self) -> ProcessRef:
        if self._process is None:
            raise LocalClusterError(f"{self.name} was never started.")
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and processes.is_alive(self._process)

    def start(self) -> None:
        """Start the process without waiting until it is ready. Its log goes on in the same file."""
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._launch()

    def wait_ready(self, deadline: float) -> None:
        """Until it answers its clients; `deadline` is a time.monotonic() value. Raises NodeSilent or PortTaken."""
        while True:
            alive = self.is_running
            # Only a live process counts as ready: on its port somebody else may be answering.
            if alive and self._answers():
                return
            if not alive or time.monotonic() >= deadline:
                raise self._failure(alive)
            time.sleep(_POLL_SECONDS)

    def _failure(self, alive: bool) -> LocalClusterError:
        end = tail(self.log, since=self._log_from)
        if not alive and any(sign in end for sign in _PORT_TAKEN):
            return PortTaken(f"{self.name} found a port taken by another program.\n{end}")
        what = "is running but does not answer" if alive else "ended while starting"
        return NodeSilent(f"{self.name} ({self.host}:{self.port}) {what}; log: {self.log}", end)

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        processes.send(self.process, signal.SIGKILL)
        if not processes.wait_gone(self.process, _STOP_GRACE_SECONDS):
            raise LocalClusterError(f"{self.name} (pid {self.pid}) survives kill -9.")

    def stop_signal(self) -> None:
        """Put it to sleep (SIGSTOP): connections stay open, nothing is answered."""
        processes.send(self.process, signal.SIGSTOP)

    def cont(self) -> None:
        processes.send(self.process, signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to stop and wait; killed when it does not."""
        processes.end(self.process, _STOP_GRACE_SECONDS)

    def restart(self, ready_seconds: float = 60.0) -> None:
        """Stop it in order if it runs, start it with what it has on disk, wait until it is ready."""
        self.stop()
        self.start()
        self.wait_ready(time.monotonic() + ready_seconds)


class ValkeyNode(Node):
    def restart_empty(self, ready_seconds: float = 60.0) -> None:
        """Kill it and start it again at once: it has the same name and slots, and no data.

        Quicker than the failure detection of the others, so that a primary stays primary, and its replicas throw
        away what they have to become as empty as it is.
        """
        self.kill()
        self.start()
        self.wait_ready(time.monotonic() + ready_seconds)
