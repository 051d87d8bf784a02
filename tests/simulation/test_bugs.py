"""The simulation sees: each bug put in on purpose is caught within the stated number of histories."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import SEEDS, Bug, planted
from tests.simulation.history import simulate
from tests.support.oracle import Wrong


@pytest.mark.parametrize(("bug", "seeds"), SEEDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_is_caught(bug: Bug, seeds: int) -> None:
    for seed in range(seeds):
        try:
            with planted(bug):
                simulate(seed)
        except Wrong:
            return
    pytest.fail(f"not caught in {seeds} histories")
