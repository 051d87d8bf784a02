"""Tiers at their borders, on the way up and on the way down."""

from __future__ import annotations

import pytest

from rookery_server.domain.fanout import ALL_PUSH, WITH_PULL, AuthorTier, Crossing, Tier, tier_for
from rookery_server.domain.limits import BROAD_FROM, PULL_FROM


@pytest.mark.parametrize(
    ("followers", "current", "expected"),
    [
        (0, Tier.PUSH, Tier.PUSH),
        (BROAD_FROM - 1, Tier.PUSH, Tier.PUSH),
        (BROAD_FROM, Tier.PUSH, Tier.BROAD),
        (BROAD_FROM * 8 // 10, Tier.BROAD, Tier.BROAD),
        (BROAD_FROM * 8 // 10 - 1, Tier.BROAD, Tier.PUSH),
        (PULL_FROM - 1, Tier.BROAD, Tier.BROAD),
        (PULL_FROM, Tier.BROAD, Tier.PULL),
        (PULL_FROM, Tier.PUSH, Tier.PULL),
        (PULL_FROM * 8 // 10, Tier.PULL, Tier.PULL),
        (PULL_FROM * 8 // 10 - 1, Tier.PULL, Tier.BROAD),
        (0, Tier.PULL, Tier.PUSH),
    ],
)
def test_borders(followers: int, current: Tier, expected: Tier) -> None:
    assert tier_for(followers, current, WITH_PULL) is expected


def test_nobody_is_pull_while_readers_do_not_merge() -> None:
    assert tier_for(100 * PULL_FROM, Tier.PUSH, ALL_PUSH) is Tier.BROAD
    assert tier_for(100 * PULL_FROM, Tier.PULL, ALL_PUSH) is Tier.BROAD


def test_on_the_way_to_pull_readers_merge_before_workers_stop() -> None:
    row = AuthorTier(7, True, 1_000)
    assert [row.merged_at(now) for now in (0, 999, 1_000, 10**15)] == [True] * 4
    assert [row.delivers(posted) for posted in (0, 999, 1_000, 1_001)] == [True, True, False, False]


def test_on_the_way_back_workers_deliver_before_readers_stop() -> None:
    row = AuthorTier(7, False, 1_000)
    assert [row.merged_at(now) for now in (0, 999, 1_000, 1_001)] == [True, True, False, False]
    assert [row.delivers(posted) for posted in (0, 1_000, 10**15)] == [True] * 3


def test_the_phases_as_they_come_are_sound() -> None:
    assert Crossing().problems() == []


@pytest.mark.parametrize(
    ("wrong", "sound", "says"),
    [
        (Crossing(announce_s=3_660), Crossing(announce_s=3_661), "announce_s"),
        (Crossing(relations_life_s=7_140), Crossing(relations_life_s=7_139), "announce_s"),
        (Crossing(merge_s=604_920), Crossing(merge_s=604_921), "merge_s"),
        (Crossing(directory_s=60), Crossing(directory_s=59), "directory_max_age_s"),
    ],
)
def test_phases_that_would_lose_tweets_are_told(wrong: Crossing, sound: Crossing, says: str) -> None:
    (problem,) = wrong.problems()
    assert problem.startswith(says)
    assert sound.problems() == []
