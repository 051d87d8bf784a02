"""How much memory is left for engines."""

from pathlib import Path

from rookery_server.dev.errors import NoMemory


def free_megabytes(proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """What the kernel says is available, or what a container's limit leaves of it."""
    fields = dict(line.split(":", 1) for line in proc.read_text().splitlines())
    machine = int(fields["MemAvailable"].split()[0]) // 1024
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return machine
    return machine if limit == "max" else min(machine, (int(limit) - used) // 2**20)


def require_megabytes(needed: int) -> None:
    """Raise NoMemory when less than `needed` is left: a node killed by the kernel leaves no line in its log."""
    left = free_megabytes()
    if left < needed:
        raise NoMemory(
            f"The engines need up to {needed} MB of memory, and {left} MB are left: close something, "
            "or start fewer nodes (--nodes 1, no --replicas)."
        )
