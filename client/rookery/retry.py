"""When to try again: UNAVAILABLE only, within a budget that keeps a sick server from being beaten.

Retries may be at most 10 % of calls (a token bucket, as in gRPC's retryThrottling), at most three tries a call, with
jittered exponential back-off or whatever the server's RetryInfo asks for, never past the caller's deadline, and always
with the same request id.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

TRIES = 3
FIRST_BACKOFF_S = 0.05
"""About one cache or replica hop; doubled each time, ± 50 %."""
RETRIES_SAVED = 10
"""What may be retried at once after a quiet time."""
CALLS_PER_RETRY = 10


@dataclass(slots=True)
class RetryBudget:
    """Shared by all calls of one client.  `credit` counts calls that worked; a retry takes ten of them."""

    credit: int = RETRIES_SAVED * CALLS_PER_RETRY
    random: random.Random = field(default_factory=random.Random)

    def succeeded(self) -> None:
        self.credit = min(RETRIES_SAVED * CALLS_PER_RETRY, self.credit + 1)

    def backoff(self, tries: int, asked_s: float | None, left_s: float) -> float | None:
        """Seconds to wait before try number `tries` + 1; None = give up."""
        if tries >= TRIES or self.credit < CALLS_PER_RETRY:
            return None
        wait = asked_s if asked_s is not None else FIRST_BACKOFF_S * 2 ** (tries - 1)
        wait *= self.random.uniform(0.5, 1.5)
        if wait >= left_s:
            return None
        self.credit -= CALLS_PER_RETRY
        return wait
