"""Who is delivered to lists and who is merged by readers, by follower count."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rookery_server.domain.limits import BROAD_FROM, PULL_FROM


class Tier(enum.Enum):
    """`BROAD` is delivered exactly as `PUSH` is; it has its own metrics and freshness goal."""

    PUSH = "push"
    BROAD = "broad"
    PULL = "pull"


HYSTERESIS = 0.2
"""An author leaves a tier only this far below its border, so one who hovers there does not switch back and forth."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Follower counts from which a tier begins.  `pull_from` None: nobody is pull, as in this release, whose readers
    do not merge pull authors yet."""

    broad_from: int = BROAD_FROM
    pull_from: int | None = None


ALL_PUSH = Thresholds()
WITH_PULL = Thresholds(BROAD_FROM, PULL_FROM)
"""The borders of an installation whose readers merge pull authors."""


def tier_for(followers: int, current: Tier, thresholds: Thresholds = ALL_PUSH) -> Tier:
    """The tier of an author with so many followers as last counted, now in `current`."""
    if thresholds.pull_from is not None and followers >= _border(thresholds.pull_from, current is Tier.PULL):
        return Tier.PULL
    above_push = current is not Tier.PUSH
    return Tier.BROAD if followers >= _border(thresholds.broad_from, above_push) else Tier.PUSH


def _border(begins: int, inside: bool) -> float:
    return begins * (1 - HYSTERESIS) if inside else begins
