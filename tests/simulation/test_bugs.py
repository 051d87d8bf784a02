"""The simulation sees: each bug put in on purpose is caught within the stated number of histories."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import PLANS, Bug, Plan, planted
from tests.simulation.history import simulate
from tests.support.oracle import Wrong


@pytest.mark.parametrize(("bug", "plan"), PLANS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_is_caught(bug: Bug, plan: Plan) -> None:
    for seed in range(plan.seeds):
        try:
            with planted(bug):
                simulate(seed, climate=plan.climate)
        except Wrong:
            simulate(seed, climate=plan.climate)  # without the bug nothing is wrong with this history
            return
    pytest.fail(f"not caught in {plan.seeds} histories")
