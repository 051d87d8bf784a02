"""What one fault did to those who read, and several of the same kind side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Round:
    """One fault; seconds count from its beginning.

    `back_s`: when all homes that were opened claimed up to ten seconds ago again, for good; 0 = they never stopped.
    `worst_claim_s` None: for a moment nothing was claimed at all.  `hits_back_s`: when 95 % of the homes opened within
    two seconds came from cached lists again, for good; 0 = they never stopped; `hits_before` and `hits_least`: that
    ratio right before the fault, and the lowest since (None: for a moment too few homes were opened to tell).
    `recovered`, `hits_recovered`: whether they were back in time at all.  `sources`, `degraded`: answered pages, by
    where they came from, and those that admitted to be behind."""

    name: str
    detail: str
    healed_s: float
    back_s: float
    recovered: bool
    worst_claim_s: float | None
    hits_before: float | None
    hits_least: float | None
    hits_back_s: float
    hits_recovered: bool
    reads: int
    read_share: float
    pages: int
    sources: dict[str, int]
    degraded: int
    wrong: int
    first_wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """No page was wrong, and everything came back."""
        return self.recovered and self.hits_recovered and not self.wrong


_FIGURES: Mapping[str, Callable[[Round], float]] = {
    "healed_s": lambda of: of.healed_s,
    "claims_back_s": lambda of: of.back_s,
    "hits_back_s": lambda of: of.hits_back_s,
    "read_share": lambda of: of.read_share,
    "wrong": lambda of: of.wrong,
}


def spread(rounds: Sequence[Round]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Least, median and most of each figure, by kind of fault.  What did not come back counts with the time at which it
    was last seen away, so look at `passed` first."""
    return {
        name: {what: _three([figure(one) for one in rounds if one.name == name]) for what, figure in _FIGURES.items()}
        for name in sorted({one.name for one in rounds})
    }


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)
