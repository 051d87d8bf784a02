"""Tiers at their borders, on the way up and on the way down."""

from __future__ import annotations

import pytest

from rookery_server.domain.fanout import ALL_PUSH, WITH_PULL, Tier, tier_for
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
