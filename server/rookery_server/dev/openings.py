"""What readers meet who open their homes while something breaks: how long claims and hits were away.

An opening is one call of a newest page.  Only those are counted: every one of them could be served from a cached list,
while deeper pages follow one that may just have been built, or lie below what lists keep.  No clock is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

BEHIND_S = 10.0
"""`complete_through` further ago than this is behind; normally it is six to seven seconds ago."""
HITS_WANTED = 0.95
"""This share of openings comes from cached lists in a calm installation, and did before."""
WINDOW_S = 2.0
"""The hit ratio is that of the openings that ended within so long: some fifty of them, of which two may miss."""
OPENINGS_AT_LEAST = 20
"""Fewer in a window tell no ratio: below twenty a single miss is more than the twentieth that is allowed."""


@dataclass(frozen=True, slots=True)
class Opening:
    """`at`: monotonic seconds when it was answered or given up.  `hit`: answered from a cached list.  `claim_age_s`
    None: nothing is claimed, or nobody answered."""

    at: float
    hit: bool
    claim_age_s: float | None

    @property
    def behind(self) -> bool:
        return self.claim_age_s is None or self.claim_age_s > BEHIND_S


@dataclass(frozen=True, slots=True)
class Absence:
    """`back_s`: seconds from the blow to the last opening that lacked what is wanted; 0 = none did.  `worst`: the
    oldest claim, or the lowest hit ratio; None: for a moment there was none at all."""

    back_s: float
    worst: float | None


@dataclass(frozen=True, slots=True)
class Calm:
    """What was, all the time, as it should be."""

    claims: bool
    hits: bool

    def __bool__(self) -> bool:
        return self.claims and self.hits


@dataclass(slots=True)
class Openings:
    """In the order in which they ended."""

    all: list[Opening] = field(default_factory=list)

    def since(self, at: float) -> list[Opening]:
        return [one for one in self.all if one.at >= at]

    def hit_ratio(self, at: float) -> float | None:
        """Of the window that ends then; None: too few openings to tell."""
        return _ratio([one for one in self.all if at - WINDOW_S < one.at <= at])

    def calm(self, since: float, now: float) -> Calm:
        """From `since` until now.  Without openings both before and after `since` nothing is known, so nothing calm."""
        recent = self.since(since)
        if not recent or self.all[0].at >= since:
            return Calm(False, False)
        ratios = [self.hit_ratio(now), *(ratio for _, ratio in self._ratios(since))]
        return Calm(not any(one.behind for one in recent), not any(map(_low, ratios)))

    def claims_away(self, blow: float) -> Absence:
        of = self.since(blow)
        back = max((one.at - blow for one in of if one.behind), default=0.0)
        known = [one.claim_age_s for one in of if one.claim_age_s is not None]
        return Absence(back, max(known) if known and len(known) == len(of) else None)

    def hits_away(self, blow: float) -> Absence:
        """A window reaches back before its moment, so what is told is up to `WINDOW_S` later than what was."""
        ratios = self._ratios(blow)
        back = max((at - blow for at, ratio in ratios if _low(ratio)), default=0.0)
        known = [ratio for _, ratio in ratios if ratio is not None]
        return Absence(back, min(known) if known and len(known) == len(ratios) else None)

    def _ratios(self, since: float) -> list[tuple[float, float | None]]:
        """The ratio of the window that ends with each opening since then."""
        found: list[tuple[float, float | None]] = []
        first = 0
        for last, one in enumerate(self.all):
            while self.all[first].at <= one.at - WINDOW_S:
                first += 1
            if one.at >= since:
                found.append((one.at, _ratio(self.all[first : last + 1])))
        return found

    def forget(self, before: float) -> None:
        """What ended before is asked for no more."""
        self.all = self.since(before)


def _low(ratio: float | None) -> bool:
    return ratio is None or ratio < HITS_WANTED


def _ratio(of: Sequence[Opening]) -> float | None:
    return sum(one.hit for one in of) / len(of) if len(of) >= OPENINGS_AT_LEAST else None
