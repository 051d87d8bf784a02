"""Who is delivered to lists and who is merged by readers, by follower count."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from rookery_server.domain.limits import BROAD_FROM, PULL_FROM, RELATIONS_LIFE_S


class Tier(enum.Enum):
    """`BROAD` is delivered exactly as `PUSH` is; it has its own metrics and freshness goal."""

    PUSH = "push"
    BROAD = "broad"
    PULL = "pull"


HYSTERESIS = 0.2
"""An author leaves a tier only this far below its border, so one who hovers there does not switch back and forth."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Follower counts from which a tier begins.  `pull_from` None: nobody is pull."""

    broad_from: int = BROAD_FROM
    pull_from: int | None = PULL_FROM


ALL_PUSH = Thresholds(pull_from=None)
WITH_PULL = Thresholds()
"""The borders of an installation whose readers merge pull authors."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """How long the phases of a tier change last; tests shrink all of it together (docs/protocols/tier.md)."""

    announce_s: float = 2 * 3600
    """From the announcement to the last delivery: longer than any cached relations live, plus `directory_max_age_s`."""
    merge_s: float = 8 * 86400
    """How long readers go on merging after the announcement of the way back."""
    rebuild_after_s: float = 7 * 86400
    """A home list built longer ago is built anew on its next read, whatever its use: less than `merge_s` by far more
    than `directory_max_age_s`."""
    relations_life_s: float = RELATIONS_LIFE_S
    directory_s: float = 5.0
    """How often a process reads the rows of all authors."""
    directory_max_age_s: float = 60.0
    """What was read longer ago is not believed."""

    def in_time(self, row: AuthorTier, known_ms: int) -> bool:
        """Whether a row that nobody knew of before `known_ms` gives the notice that its change needs."""
        needed_s = self.relations_life_s if row.pull else self.rebuild_after_s
        return row.switch_ms - known_ms >= needed_s * 1000

    def announced(self, author_id: int, pull: bool, now_ms: int) -> AuthorTier:
        """The row of a change that is announced now."""
        return AuthorTier(author_id, pull, now_ms + round((self.announce_s if pull else self.merge_s) * 1000))

    def beyond(self, agreed: Crossing) -> list[str]:
        """Where a process with these times gives less notice, or needs more, than all processes agreed upon (T11);
        empty = it may start."""
        less = [name for name in GIVEN if getattr(self, name) < getattr(agreed, name)]
        more = [name for name in NEEDED if getattr(self, name) > getattr(agreed, name)]
        return [
            f"{name} is {getattr(self, name):g}, agreed is {word} {getattr(agreed, name):g}"
            for names, word in ((less, "at least"), (more, "at most"))
            for name in names
        ]

    def beside(self, other: Crossing) -> Crossing:
        """The least of what is given and the most of what is needed while processes go by either."""
        given = {name: min(getattr(self, name), getattr(other, name)) for name in GIVEN}
        needed = {name: max(getattr(self, name), getattr(other, name)) for name in NEEDED}
        return replace(self, **given, **needed)

    def problems(self) -> list[str]:
        """What would lose tweets; empty = sound."""
        found = []
        if self.announce_s <= self.relations_life_s + self.directory_max_age_s:
            found.append("announce_s must be longer than relations_life_s and directory_max_age_s together")
        if self.merge_s <= self.rebuild_after_s + 2 * self.directory_max_age_s:
            found.append("merge_s must be longer than rebuild_after_s by more than twice directory_max_age_s")
        if self.directory_max_age_s <= self.directory_s:
            found.append("directory_max_age_s must be longer than directory_s")
        return found


GIVEN = ("announce_s", "merge_s")
"""The notice a process gives to all others: none may give less than was agreed."""
NEEDED = ("relations_life_s", "rebuild_after_s", "directory_max_age_s")
"""The notice a process needs of all others, and what it leaves behind: none may need more than was agreed."""


@dataclass(frozen=True, slots=True)
class AuthorTier:
    """The row of an author who is pull, is about to be, or was (docs/protocols/tier.md); all others have none.

    To pull: `pull` with `switch_ms` ahead: readers merge from the announcement on, workers deliver what was posted
    before `switch_ms`.  Back: not `pull`: workers deliver from the announcement on, readers merge until `switch_ms`.
    """

    author_id: int
    pull: bool
    switch_ms: int

    def merged_at(self, now_ms: int) -> bool:
        """Whether readers merge this author's list."""
        return self.pull or now_ms < self.switch_ms

    def delivers(self, posted_ms: int) -> bool:
        """Whether a tweet of that time goes into followers' lists: decided by its id, so the same at every repeat."""
        return not self.pull or posted_ms < self.switch_ms


def tier_for(followers: int, current: Tier, thresholds: Thresholds = ALL_PUSH) -> Tier:
    """The tier of an author with so many followers as last counted, now in `current`."""
    if thresholds.pull_from is not None and followers >= _border(thresholds.pull_from, current is Tier.PULL):
        return Tier.PULL
    above_push = current is not Tier.PUSH
    return Tier.BROAD if followers >= _border(thresholds.broad_from, above_push) else Tier.PUSH


def _border(begins: int, inside: bool) -> float:
    return begins * (1 - HYSTERESIS) if inside else begins
