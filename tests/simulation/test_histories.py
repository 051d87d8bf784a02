"""Histories without bugs: every page holds what it claims, and a seed is one history for ever."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

PROCESSES = 2
"""As many as a small machine has cores."""


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulation.run", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)


@pytest.mark.timeout(7200)  # as many seeds as were asked for; each has its own virtual hours
def test_every_page_of_every_history_holds_what_it_claims(seeds: range, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [start("--seeds", len(seeds), "--first", first, "--step", PROCESSES) for first in range(PROCESSES)]
    told = [run.communicate()[0] for run in runs]
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(told))
    assert [run.returncode for run in runs] == [0] * PROCESSES, "".join(told)
    assert sum(int(count) for one in told for count in re.findall(r"^(\d+) histories", one, re.M)) == len(seeds)


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_replays_exactly(seed: int) -> None:
    """In two processes, whatever the order of their sets would be: the same trace to the last line."""
    runs = [start("--seed", seed) for _ in range(2)]
    told = [run.communicate()[0] for run in runs]
    traces = [re.findall(r"trace ([0-9a-f]{16})$", one, re.M) for one in told]
    assert len(traces[0]) == 1, told[0]
    assert traces[0] == traces[1]


def test_another_seed_is_another_history() -> None:
    told = [run.communicate()[0] for run in [start("--seed", seed) for seed in (1, 2)]]
    assert len({re.findall(r"trace ([0-9a-f]{16})$", one, re.M)[0] for one in told}) == 2
