"""The owner's end of the pipe to a stack's keeper."""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from rookery_server.dev import processes
from rookery_server.dev.errors import LocalClusterError, StackBusy
from rookery_server.dev.processes import ProcessRef


class KeeperLink:
    """Starts a keeper and talks to it. While this object's process lives and has not detached, so does the stack."""

    def __init__(self, folder: Path) -> None:
        self._turn = threading.Lock()  # one request and its answer at a time; nodes may be restarted from threads
        with (folder / "keeper.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "rookery_server.dev.keeper", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the owner, who then stops the keeper in order
            )
        if process.stdin is None or process.stdout is None:  # both are asked for above
            raise LocalClusterError("no pipes to the keeper")
        self._to, self._from = process.stdin, process.stdout
        hello = self._read()
        if hello.get("error") == "locked":
            self._close_pipes()
            self._process.wait()
            raise StackBusy("Another command is running this stack.")
        if not hello.get("ready"):
            raise LocalClusterError(f"The keeper did not start; see {folder / 'keeper.log'}.")

    def start(self, name: str, argv: list[str], cwd: Path, log: Path, *, beside: bool = False) -> ProcessRef:
        """Start an engine, or `beside` them something that uses them and is stopped before them."""
        request = {"name": name, "argv": argv, "cwd": str(cwd), "log": str(log), "beside": beside}
        answer = self._ask({"start": request})
        if "error" in answer:
            raise LocalClusterError(f"{name} could not be started: {answer['error']}")
        return ProcessRef(answer["pid"], answer["started"], processes.boot_id())

    def detach(self) -> None:
        """Let the keeper and its engines live on when this process ends."""
        self._ask({"detach": True})
        self._close_pipes()
        # The keeper goes on; a Popen that is dropped while its process runs would warn about exactly that.
        self._process.returncode = 0

    def stop(self) -> None:
        """Stop all engines and the keeper; returns when they are gone."""
        self._close_pipes()
        self._process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._turn:
            try:
                self._to.write(json.dumps(request).encode() + b"\n")
                self._to.flush()
            except BrokenPipeError:
                raise LocalClusterError("The keeper of this stack has died; its engines died with it.") from None
            answer = self._read()
        if not answer:
            raise LocalClusterError("The keeper of this stack has died; its engines died with it.")
        return answer

    def _read(self) -> dict[str, Any]:
        line = self._from.readline()
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    def _close_pipes(self) -> None:
        for pipe in (self._to, self._from):
            with contextlib.suppress(BrokenPipeError):  # the keeper may be dead already
                pipe.close()
