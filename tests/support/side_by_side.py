"""Runs groups of tests side by side, one pytest process each: the machines that check this have two cores.

``python -m tests.support.side_by_side GROUP GROUP … -- OPTIONS``: a group is paths with commas between them.  The first
one's output is shown as it comes, the others' when they are done.  Ends with the worst of their codes; a group in which
the options select nothing is none, unless all are.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NOTHING_SELECTED = 5  # https://docs.pytest.org/en/stable/reference/exit-codes.html


def run(groups: Sequence[Sequence[str]], options: Sequence[str]) -> int:
    """The exit code of all together."""
    with tempfile.TemporaryDirectory(prefix="rookery-tests-") as folder:
        first, *others = groups
        beside = [(_start(group, options, Path(folder, f"{number}.log"))) for number, group in enumerate(others)]
        try:
            codes = [subprocess.run(_command(first, options), check=False).returncode]
            for process, log in beside:
                codes.append(process.wait())
                sys.stdout.write(log.read_text())
        finally:
            for process, _ in beside:
                process.kill()
                process.wait()
    return together(codes)


def together(codes: Sequence[int]) -> int:
    selected = [code for code in codes if code != NOTHING_SELECTED]
    return max(selected, key=abs) if selected else NOTHING_SELECTED


def _start(group: Sequence[str], options: Sequence[str], log: Path) -> tuple[subprocess.Popen[bytes], Path]:
    with log.open("wb") as out:
        return subprocess.Popen(_command(group, options), stdout=out, stderr=subprocess.STDOUT), log


def _command(group: Sequence[str], options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *group, *options]


if __name__ == "__main__":
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    sys.exit(run([group.split(",") for group in sys.argv[1:split]], sys.argv[split + 1 :]))
