"""The command that runs histories, and that a seed is one history for ever.  Many seeds: `make simulate SEEDS=…`."""

from __future__ import annotations

import re
import subprocess
import sys

SEEDS = 6
"""Enough to see that the command works; the rest is the command's."""


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulation.run", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def traces(*seeds: int) -> list[str]:
    """The digests of replays of these seeds, each in a process of its own."""
    told = [run.communicate()[0] for run in [start("--seed", seed) for seed in seeds]]
    found = [re.findall(r"trace ([0-9a-f]{16})$", one, re.M) for one in told]
    assert all(len(one) == 1 for one in found), told
    return [one[0] for one in found]


def test_every_page_holds_what_it_claims() -> None:
    run = start("--seeds", SEEDS)
    told = run.communicate()[0]
    assert run.returncode == 0, told
    assert f"{SEEDS} histories, 0 wrong" in told


def test_a_bug_is_told_by_its_name() -> None:
    run = start("--bug", "reads_of_one_replica", "--seeds", SEEDS)
    told = run.communicate()[0]
    assert run.returncode == 0, told
    assert "caught by seed" in told


def test_a_seed_replays_exactly() -> None:
    """The same trace, to the last line."""
    first, again = traces(3, 3)
    assert first == again
    first, again = traces(11, 11)
    assert first == again


def test_another_seed_is_another_history() -> None:
    first, second = traces(1, 2)
    assert first != second
