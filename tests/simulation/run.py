"""`python -m tests.simulation.run --seeds N`: N histories, a seed each; `--seed S --trace` replays one and shows it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.bugs import BY_NAME, PLANS, planted
from tests.simulation.history import Outcome, simulate
from tests.support.faults import Trace
from tests.support.oracle import Wrong


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="histories at a time")
    parser.add_argument("--seed", type=int, help="replay this one alone")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--bug", choices=BY_NAME, help="with this bug put in, until it is caught")
    told = parser.parse_args(arguments)
    seeds = range(told.first, told.first + told.seeds)
    if told.seed is not None:
        return replay(told.seed, told.trace)
    return hunt(told.bug, seeds) if told.bug else many(seeds, told.jobs)


def replay(seed: int, show: bool) -> int:
    trace, failed = Trace(keep=show), 0
    try:
        _say(simulate(seed, trace))
    except Exception:
        _say(traceback.format_exc())
        failed = 1
    for line in trace.lines or ():
        _say(line)
    _say(f"seed {seed}: trace {trace.hash()}")
    return failed


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


def many(seeds: range, processes: int) -> int:
    """0 if no promise was broken in any of these histories."""
    began, done, wrong = time.monotonic(), list[Outcome](), list[int]()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for seed, result in zip(seeds, pool.map(_one, seeds), strict=True):
            if isinstance(result, Outcome):
                done.append(result)
            else:
                wrong.append(seed)
                _say(f"seed {seed}: {result}")
    took = time.monotonic() - began
    _say(
        f"{len(seeds)} histories, {len(wrong)} wrong, in {took:.1f} s ({len(seeds) / took:.2f} seeds/s): "
        f"{sum(one.posts for one in done)} posts, {sum(one.pages for one in done)} pages checked with "
        f"{sum(one.shown for one in done)} tweets, {sum(one.crashes for one in done)} crashes, "
        f"{sum(one.virtual_s for one in done) / 3600:.1f} virtual hours"
    )
    if wrong:
        _say(f"replay with: python -m tests.simulation.run --seed {wrong[0]} --trace")
    return 1 if wrong else 0


def _one(seed: int) -> Outcome | str:
    try:
        return simulate(seed, Trace(digest=False))
    except Exception as error:  # whatever it is, it is this seed's, and the others are run
        return f"{type(error).__name__}: {error}"


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of names must not differ between two runs of one seed.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.run", *sys.argv[1:]])  # noqa: S606
    sys.exit(main(sys.argv[1:]))
