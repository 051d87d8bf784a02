"""Faults of one kind side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rookery_server.dev.rounds import Round, spread

GOOD = Round(
    name="flood",
    detail="the cellar",
    healed_s=1.0,
    back_s=2.0,
    recovered=True,
    worst_claim_s=9.0,
    hits_before=1.0,
    hits_least=0.5,
    hits_back_s=3.0,
    hits_recovered=True,
    reads=100,
    read_share=1.0,
    pages=100,
    sources={"list": 90, "build": 10},
    degraded=0,
    wrong=0,
    first_wrong=(),
)


def test_each_kind_has_its_least_median_and_most() -> None:
    found = spread([GOOD, replace(GOOD, hits_back_s=9.0), replace(GOOD, hits_back_s=4.0), replace(GOOD, name="fire")])
    assert list(found) == ["fire", "flood"]
    assert found["flood"]["hits_back_s"] == (3.0, 4.0, 9.0)
    assert found["fire"]["claims_back_s"] == (2.0, 2.0, 2.0)


def test_a_round_in_which_all_came_back_and_nothing_was_wrong_passes() -> None:
    assert GOOD.passed


@pytest.mark.parametrize(
    "worse", [replace(GOOD, recovered=False), replace(GOOD, hits_recovered=False), replace(GOOD, wrong=1)]
)
def test_claims_hits_and_pages_can_each_fail_a_round(worse: Round) -> None:
    assert not worse.passed
