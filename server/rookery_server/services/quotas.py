"""How much one user may write.

In this release each server counts for itself: behind n servers a user may write up to n times as much.  A limiter in
the cache, shared by all servers, takes this one's place later, and falls back to it when the cache is out of reach.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rookery_server.domain.clock import Clock
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

_DAY_S = 86400


class Quota(enum.Enum):
    """What is counted; the value is its name and the length of its window in seconds."""

    TWEETS = "tweets", 3 * 3600
    FOLLOWS = "follows", _DAY_S
    BLOCKS = "blocks and mutes", _DAY_S
    ACCOUNT_CHANGES = "changes of the account", _DAY_S
    RENAMES = "new names", 7 * _DAY_S

    @property
    def window_s(self) -> int:
        window_s: int = self.value[1]
        return window_s


LIMITS: Mapping[Quota, int] = {
    Quota.TWEETS: TWEETS_PER_3H,
    Quota.FOLLOWS: FOLLOWS_PER_DAY,
    Quota.BLOCKS: BLOCKS_PER_DAY,
    Quota.ACCOUNT_CHANGES: ACCOUNT_CHANGES_PER_DAY,
    Quota.RENAMES: RENAMES_PER_WEEK,
}
"""Writes of one user in any window."""


class Quotas(Protocol):
    async def charge(self, call: Call, quota: Quota) -> None:
        """Counts one write of the caller; raises RateLimited, with the time after which to try again, when there were
        too many.  Calls with scope `bulk` are not counted."""
        ...


@dataclass(slots=True)
class _Counter:
    """Counts of this window and the one before: two numbers instead of one time stamp a write."""

    window: int
    current: int = 0
    previous: int = 0


class LocalQuotas:
    """A sliding window in this process: the previous window counts by the share of it that the sliding one covers."""

    def __init__(self, clock: Clock, limits: Mapping[Quota, int] = LIMITS):
        """`limits`: those that are not the usual ones."""
        self._clock, self._limits = clock, {**LIMITS, **limits}
        self._counters: dict[tuple[int, Quota], _Counter] = {}

    async def charge(self, call: Call, quota: Quota) -> None:
        if call.bulk:
            return
        window, into = divmod(self._clock.monotonic(), quota.window_s)
        counter = self._counter(call.caller_id, quota, int(window))
        left_of_previous = 1 - into / quota.window_s
        limit = self._limits[quota]
        if counter.current + counter.previous * left_of_previous > limit - 1:
            raise RateLimited(
                f"at most {limit} in {quota.window_s // 3600} hours",
                retry_after_s=max(1.0, quota.window_s / limit),
            )
        counter.current += 1

    def _counter(self, user_id: int, quota: Quota, window: int) -> _Counter:
        counter = self._counters.get((user_id, quota))
        if counter is None:
            if len(self._counters) >= QUOTA_SUBJECTS:
                self._forget_old()
            counter = self._counters[user_id, quota] = _Counter(window)
        if counter.window != window:
            counter.previous = counter.current if counter.window == window - 1 else 0
            counter.current, counter.window = 0, window
        return counter

    def _forget_old(self) -> None:
        """Drops the half that was touched longest ago (a dict keeps the order of insertion): memory stays bounded, and
        whoever is forgotten starts anew."""
        for key in list(self._counters)[: QUOTA_SUBJECTS // 2]:
            del self._counters[key]
