"""The engines' logs: their ends, and what is added to them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.processes import tail

_POLL_SECONDS = 0.2


def log_files(folder: Path, engine: str | None = None) -> dict[str, Path]:
    """Logs by engine name, the keeper's included. Raises LocalClusterError when there is none of that name."""
    found = {path.stem: path for path in sorted((folder / "logs").glob("*.log"))}
    found |= {path.stem: path for path in (folder / "keeper.log",) if path.exists()}
    if engine is None:
        return found
    if engine not in found:
        there = ", ".join(found) or "none yet"
        raise LocalClusterError(f"There is no log of '{engine}' in {folder} (there are: {there}).")
    return {engine: found[engine]}


def ends(files: dict[str, Path]) -> Iterator[str]:
    """The last lines of each, with its name before them where there are several."""
    for name, path in files.items():
        if len(files) > 1:
            yield f"==> {name} <=="
        yield tail(path)


def follow(files: dict[str, Path], goes_on: Callable[[], bool]) -> Iterator[str]:
    """Lines as they are added from now on, until `goes_on` says no."""
    opened = {name: path.open(errors="replace") for name, path in files.items()}
    prefix = {name: f"{name}: " if len(files) > 1 else "" for name in files}
    try:
        for file in opened.values():
            file.seek(0, 2)
        while goes_on():
            quiet = True
            for name, file in opened.items():
                for line in file:
                    quiet = False
                    yield prefix[name] + line.rstrip("\n")
            if quiet:
                time.sleep(_POLL_SECONDS)
    finally:
        for file in opened.values():
            file.close()
