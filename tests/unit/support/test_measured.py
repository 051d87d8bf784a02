"""Least, median, most; the median and what one of a hundred exceeds."""

from __future__ import annotations

import math

from tests.support.measured import p50_p99_ms, p99, spread


def test_least_median_and_most_rounded() -> None:
    assert spread([3.04, 1.26, 2.0]) == [1.3, 2.0, 3.0]
    assert spread([0.123], 2) == [0.12, 0.12, 0.12]


def test_what_never_ended_has_no_number() -> None:
    assert spread([1.0, math.inf, 2.0]) == [1.0, 2.0, None]


def test_the_median_and_what_one_of_a_hundred_exceeds() -> None:
    seconds = [at / 1000 for at in range(1, 200)]
    assert p50_p99_ms(seconds) == [100.0, 198.0]
    assert round(p99(seconds), 6) == 0.198
