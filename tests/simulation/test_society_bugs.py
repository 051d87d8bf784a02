"""Bugs of relations, accounts, tiers, streams, counts: each is caught within the stated number of histories."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import assert_caught
from tests.simulation.plans import Bug, Plan
from tests.simulation.society_bugs import PLANS


@pytest.mark.parametrize(("bug", "plan"), PLANS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_is_caught(bug: Bug, plan: Plan) -> None:
    assert_caught(bug, plan)
