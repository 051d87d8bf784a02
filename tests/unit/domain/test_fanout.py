"""Tiers at their borders, on the way up and on the way down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (Crossing(announce_s=7_199), "announce_s is 7199, agreed is at least 7200"),
        (Crossing(merge_s=691_199), "merge_s is 691199, agreed is at least 691200"),
        (Crossing(relations_life_s=3_601), "relations_life_s is 3601, agreed is at most 3600"),
        (Crossing(rebuild_after_s=604_801), "rebuild_after_s is 604801, agreed is at most 604800"),
        (Crossing(directory_max_age_s=61), "directory_max_age_s is 61, agreed is at most 60"),
    ],
)
def test_tier_T11_who_gives_less_or_needs_more_than_was_agreed_is_told(own: Crossing, says: str) -> None:
    assert own.beyond(Crossing()) == [says]


def test_tier_T11_who_is_more_careful_is_within_the_bounds() -> None:
    careful = Crossing(8_000, 700_000, 600_000, 3_000, directory_s=1, directory_max_age_s=50)
    assert careful.beyond(Crossing()) == Crossing().beyond(Crossing()) == []
    assert len(Crossing().beyond(careful)) == 5


NEEDS = st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
MORE = st.tuples(st.integers(0, 99), st.integers(0, 99))


@given(NEEDS, MORE, st.lists(st.tuples(NEEDS, MORE), min_size=2, max_size=2))
def test_tier_T11_any_two_within_sound_bounds_are_sound_beside_each_other(
    needs: tuple[int, int, int], more: tuple[int, int], of_two: list[tuple[tuple[int, int, int], tuple[int, int]]]
) -> None:
    """`needs`: rebuild age, life of relations, belief in rows."""
    rebuild, life, belief = needs
    agreed = Crossing(life + belief + 1 + more[0], rebuild + 2 * belief + 1 + more[1], *needs[:2], 0.5, belief)
    assert agreed.problems() == []
    two = []
    for own, extra in of_two:
        less = min(own[0], rebuild), min(own[1], life)
        believed = min(own[2], belief)
        two.append(Crossing(agreed.announce_s + extra[0], agreed.merge_s + extra[1], *less, 0.5, believed))
        assert two[-1].beyond(agreed) == []
    assert two[0].beside(two[1]).problems() == []
