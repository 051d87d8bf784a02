"""Processes named so that a reused pid is never mistaken for the one that was started."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A pid, when it started in clock ticks since boot (field 22 of /proc/PID/stat), and the id of that boot."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses and may hold anything, spaces and ')' too.
    return text[text.rindex(")") + 2 :].split()


def reference(pid: int) -> ProcessRef | None:
    """The process that has `pid` now; None when there is none, or only its exit code is left to be fetched."""
    fields = _stat_fields(pid)
    if fields is None or (fields[0] in "ZX" and _threads(pid) <= 1):
        return None
    return ProcessRef(pid, int(fields[19]), boot_id())


def _threads(pid: int) -> int:
    """A killed JVM shows as a zombie while its other threads still end; until then it holds its ports."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def is_alive(process: ProcessRef) -> bool:
    return reference(process.pid) == process


def is_stopped(process: ProcessRef) -> bool:
    """Whether a signal has put it to sleep (SIGSTOP)."""
    fields = _stat_fields(process.pid)
    return fields is not None and fields[0] == "T" and is_alive(process)


def send(process: ProcessRef, number: signal.Signals) -> bool:
    """Send a signal, unless the process is gone (then False)."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(process: ProcessRef, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)  # an exit is noticed within 10 ms; /proc cannot be waited on
    return True


def end(process: ProcessRef, grace: float) -> None:
    """Ask it to stop, and kill it after `grace` seconds."""
    send(process, signal.SIGCONT)  # a sleeping process would not hear the request
    if send(process, signal.SIGTERM) and not wait_gone(process, grace):
        send(process, signal.SIGKILL)
    wait_gone(process, 5.0)  # a killed process leaves as soon as the kernel has freed its memory


def tail(path: Path, lines: int = 25, since: int = 0) -> str:
    """The end of a log, from byte `since` on at the most; 64 KiB hold 25 lines even when they are stack traces."""
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - 65_536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
