"""A scenario of docs/scenarios.md: the whole of it at once, by chance.  Hundreds of seeds: `make simulate`."""

from __future__ import annotations

from tests.simulation.history import simulate

SEEDS = range(2000, 2003)
"""Others than those tests/simulation/test_histories.py runs."""


def test_scenario_20_in_a_simulated_world_every_page_equals_the_oracles_for_what_it_claims() -> None:
    """A page that does not raises Wrong."""
    outcomes = [simulate(seed) for seed in SEEDS]
    assert all(outcome.shown > 100 for outcome in outcomes)
    assert all(outcome.pages > 20 for outcome in outcomes)
