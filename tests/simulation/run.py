"""`python -m tests.simulation.run --seeds N`: N histories, a seed each; `--seed S --trace` replays one and shows it."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback

from tests.simulation.bugs import BY_NAME, PLANS, planted
from tests.simulation.history import simulate
from tests.support.faults import Trace
from tests.support.oracle import Wrong


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--step", type=int, default=1, help="every so many, to share seeds among processes")
    parser.add_argument("--seed", type=int, help="replay this one alone")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--bug", choices=BY_NAME, help="with this bug put in, until it is caught")
    told = parser.parse_args(arguments)
    if told.bug is not None:
        return hunt(told.bug, range(told.first, told.first + told.seeds))
    if told.seed is not None:
        return replay(told.seed, told.trace)
    return many(range(told.first, told.first + told.seeds, told.step))


def hunt(name: str, seeds: range) -> int:
    """0 if one of these histories shows the bug."""
    began = time.process_time()
    for tried, seed in enumerate(seeds, 1):
        try:
            with planted(BY_NAME[name]):
                simulate(seed, climate=PLANS[BY_NAME[name]].climate)
        except Wrong as wrong:
            took = time.process_time() - began
            _say(f"{name}: caught by seed {seed}, the {tried}., after {took:.1f} s of CPU: {str(wrong)[:200]}")
            return 0
    _say(f"{name}: not caught in {len(seeds)} histories")
    return 1


def replay(seed: int, show: bool) -> int:
    trace, failed = Trace(keep=show), 0
    try:
        _say(simulate(seed, trace))
    except Exception:
        traceback.print_exc()
        failed = 1
    for line in trace.lines or ():
        _say(line)
    _say(f"seed {seed}: trace {trace.hash()}")
    return failed


def many(seeds: range) -> int:
    began, failed, pages, shown, posts, crashes = time.monotonic(), list[int](), 0, 0, 0, 0
    for seed in seeds:
        try:
            done = simulate(seed)
        except Exception as error:  # whatever it is, it is this seed's, and the others are run
            _say(f"seed {seed}: {type(error).__name__}: {error}")
            failed.append(seed)
            continue
        pages, shown, posts, crashes = (
            pages + done.pages,
            shown + done.shown,
            posts + done.posts,
            crashes + done.crashes,
        )
    took = time.monotonic() - began
    _say(
        f"{len(seeds)} histories, {len(failed)} wrong, in {took:.1f} s ({len(seeds) / took:.2f} seeds/s): "
        f"{posts} posts, {pages} pages checked with {shown} tweets, {crashes} crashes"
    )
    if failed:
        _say(f"replay with: python -m tests.simulation.run --seed {failed[0]} --trace")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of names must not differ between two runs of one seed.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.run", *sys.argv[1:]])  # noqa: S606
    sys.exit(main(sys.argv[1:]))
