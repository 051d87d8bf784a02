"""The retry budget: never more than a share of calls, never past the deadline."""

from __future__ import annotations

import random

from rookery.retry import CALLS_PER_RETRY, RETRIES_SAVED, TRIES, RetryBudget


def budget() -> RetryBudget:
    return RetryBudget(random=random.Random(1))


def test_gives_up_after_three_tries() -> None:
    assert budget().backoff(TRIES - 1, None, 10.0) is not None
    assert budget().backoff(TRIES, None, 10.0) is None


def test_never_waits_past_the_deadline() -> None:
    assert budget().backoff(1, 5.0, 1.0) is None


def test_obeys_the_servers_delay_within_its_jitter() -> None:
    waits = [budget().backoff(1, 0.4, 10.0) for _ in range(20)]
    assert all(wait is not None and 0.2 <= wait <= 0.6 for wait in waits)


def test_a_sick_server_is_not_beaten_and_successes_earn_retries_back() -> None:
    used = budget()
    granted = sum(used.backoff(1, 0.0, 10.0) is not None for _ in range(100))
    assert granted == RETRIES_SAVED
    for _ in range(CALLS_PER_RETRY):
        used.succeeded()
    assert used.backoff(1, 0.0, 10.0) is not None
    assert used.backoff(1, 0.0, 10.0) is None
