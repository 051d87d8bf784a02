"""Quotas at their borders."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import RateLimited
from rookery_server.domain.limits import (
    ACCOUNT_CHANGES_PER_DAY,
    BLOCKS_PER_DAY,
    FOLLOWS_PER_DAY,
    QUOTA_SUBJECTS,
    RENAMES_PER_WEEK,
    TWEETS_PER_3H,
)
from rookery_server.services.calls import Call
from rookery_server.services.quotas import LIMITS, LocalQuotas, Quota
from tests.unit.services.clocks import TestClock

ALICE, BOB = Call(1, 1e12), Call(2, 1e12)


async def _use_up(quotas: LocalQuotas, call: Call, quota: Quota) -> None:
    for _ in range(LIMITS[quota]):
        await quotas.charge(call, quota)


@pytest.mark.parametrize(
    ("quota", "limit"),
    [
        (Quota.TWEETS, TWEETS_PER_3H),
        (Quota.FOLLOWS, FOLLOWS_PER_DAY),
        (Quota.BLOCKS, BLOCKS_PER_DAY),
        (Quota.ACCOUNT_CHANGES, ACCOUNT_CHANGES_PER_DAY),
        (Quota.RENAMES, RENAMES_PER_WEEK),
    ],
)
async def test_exactly_the_limit_is_allowed(quota: Quota, limit: int) -> None:
    quotas = LocalQuotas(TestClock())
    for _ in range(limit):
        await quotas.charge(ALICE, quota)
    with pytest.raises(RateLimited) as refused:
        await quotas.charge(ALICE, quota)
    assert refused.value.retry_after_s >= 1
    await quotas.charge(BOB, quota)


async def test_the_kinds_are_counted_apart() -> None:
    quotas = LocalQuotas(TestClock())
    await _use_up(quotas, ALICE, Quota.TWEETS)
    await quotas.charge(ALICE, Quota.FOLLOWS)


async def test_each_kind_has_a_limit_and_a_counter_of_its_own() -> None:
    assert set(LIMITS) == set(Quota)
    assert len({quota.value for quota in Quota}) == len(Quota.__members__)  # equal values would be one kind
    quotas = LocalQuotas(TestClock(), {Quota.TWEETS: 1})
    await _use_up(quotas, ALICE, Quota.FOLLOWS)
    await _use_up(quotas, ALICE, Quota.BLOCKS)
    await quotas.charge(ALICE, Quota.TWEETS)
    with pytest.raises(RateLimited):
        await quotas.charge(ALICE, Quota.TWEETS)


async def test_bulk_is_never_counted() -> None:
    quotas = LocalQuotas(TestClock())
    for _ in range(2 * FOLLOWS_PER_DAY):
        await quotas.charge(Call(1, 1e12, bulk=True), Quota.FOLLOWS)
    await quotas.charge(ALICE, Quota.FOLLOWS)


async def test_the_window_slides() -> None:
    clock = TestClock(now_ms=Quota.TWEETS.window_s * 1000 * 5)
    quotas = LocalQuotas(clock)
    await _use_up(quotas, ALICE, Quota.TWEETS)
    clock.advance(Quota.TWEETS.window_s * 1000)
    with pytest.raises(RateLimited):  # the whole window before still counts
        await quotas.charge(ALICE, Quota.TWEETS)
    clock.advance(Quota.TWEETS.window_s * 500)
    for _ in range(TWEETS_PER_3H // 2):  # now half of it does
        await quotas.charge(ALICE, Quota.TWEETS)
    with pytest.raises(RateLimited):
        await quotas.charge(ALICE, Quota.TWEETS)
    clock.advance(Quota.TWEETS.window_s * 2000)
    await _use_up(quotas, ALICE, Quota.TWEETS)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rookery_server.services.quotas.QUOTA_SUBJECTS", 10)
    assert QUOTA_SUBJECTS > 10
    quotas = LocalQuotas(TestClock())
    for user in range(1, 100):
        await quotas.charge(Call(user, 1e12), Quota.TWEETS)
    assert len(quotas._counters) <= 10
