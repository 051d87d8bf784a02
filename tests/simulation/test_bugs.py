"""Bugs of delivery, claims, builds and removals: each is caught within the stated number of histories."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import DELIVERY_PLANS, assert_caught
from tests.simulation.plans import Bug, Plan


@pytest.mark.parametrize(("bug", "plan"), DELIVERY_PLANS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_is_caught(bug: Bug, plan: Plan) -> None:
    assert_caught(bug, plan)
