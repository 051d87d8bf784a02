"""Measured values in a few numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 1) -> list[float | None]:
    """Least, median, most; None = infinite, for which JSON has no number."""
    three = (min(values), statistics.median(values), max(values))
    return [round(value, digits) if math.isfinite(value) else None for value in three]


def p99(values: Sequence[float]) -> float:
    return _cuts(values)[98]


def p50_p99_ms(seconds: Sequence[float]) -> list[float]:
    cuts = _cuts(seconds)
    return [round(cuts[49] * 1000, 1), round(cuts[98] * 1000, 1)]


def _cuts(values: Sequence[float]) -> list[float]:
    """Hundredths; of a single value they are all that."""
    return statistics.quantiles(values, n=100) if len(values) > 1 else [values[0]] * 99
