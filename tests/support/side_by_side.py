"""Runs groups of tests side by side, one pytest process each, as many at once as there are processors.

``python -m tests.support.side_by_side GROUP GROUP … -- OPTIONS``: a group is paths with commas between them.  The
longest come first, so that no processor is idle for long at the end.  The first one's output is shown as it comes, the
others' when they are done.  Ends with the worst of their codes; a group in which the options select nothing is none,
unless all are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

Groups = Sequence[Sequence[str]]

PROCESSORS = os.cpu_count() or 1
NOTHING_SELECTED = 5  # https://docs.pytest.org/en/stable/reference/exit-codes.html


def run(
    groups: Groups,
    options: Sequence[str],
    at_once: int = PROCESSORS,
    environ_of: Callable[[int], Mapping[str, str] | None] = lambda number: None,
) -> int:
    """The exit code of all together.  `environ_of`: the environment of a group by its number, if not this one's."""
    codes = list[int]()
    pool = ThreadPoolExecutor(at_once)
    try:
        begun = [
            pool.submit(_run, group, options, subprocess.PIPE if number else None, environ_of(number))
            for number, group in enumerate(groups)
        ]
        for one in begun:
            code, told = one.result()
            codes.append(code)
            sys.stdout.write(told)
            sys.stdout.flush()
    finally:
        pool.shutdown(cancel_futures=True)
    return together(codes)


def together(codes: Sequence[int]) -> int:
    """The worst of them; a group in which nothing was selected does not count, unless that is all of them."""
    selected = [code for code in codes if code != NOTHING_SELECTED]
    return max(selected, key=abs) if selected else NOTHING_SELECTED


def _run(
    group: Sequence[str], options: Sequence[str], out: int | None, environ: Mapping[str, str] | None
) -> tuple[int, str]:
    """Its code, and what it told, unless that was shown already."""
    command = [sys.executable, "-m", "pytest", *group, *options]
    done = subprocess.run(command, check=False, stdout=out, stderr=out and subprocess.STDOUT, text=True, env=environ)
    return done.returncode, done.stdout or ""


if __name__ == "__main__":
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    sys.exit(run([group.split(",") for group in sys.argv[1:split]], sys.argv[split + 1 :]))
