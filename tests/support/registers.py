"""What can be known of a value that many change at once, from the outside alone.

An operation is *ok* (acked), *fail* (proof that nothing happened) or *info* (nobody knows: it stays concurrent with
everything after it).  Times are true seconds; "acked by" is on the clock of the server that acked, since that is what
a claim speaks of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

V = TypeVar("V")
ALWAYS = -1
"""Acked before the history began."""


@dataclass
class Operation:
    """`ended` is infinite unless ok or fail."""

    began: float
    ended: float = inf
    outcome: str = "info"
    acked_ms: int = 0
    settled: bool = False
    event_ms: int = 0
    """Of the consistency token in the answer."""

    def may_have_happened(self) -> bool:
        return self.outcome != "fail"


@dataclass(eq=False)
class Change(Operation, Generic[V]):
    """`value`: what the register holds after it."""

    value: V | None = None
    register: Register[V] | None = field(default=None, repr=False)
    flashed: bool = False
    """It failed, and may have stood for a moment before it was taken back."""

    def close(self, like: Operation, outcome: str = "", *, flashed: bool = False) -> None:
        """Ended as `like` did, or with another outcome."""
        self.ended, self.outcome, self.acked_ms = like.ended, outcome or like.outcome, like.acked_ms
        self.settled, self.event_ms = like.settled and self.outcome == "ok", like.event_ms
        self.flashed = flashed and self.outcome == "fail"
        if self.register is not None:
            self.register.changed()

    def may_have_shown(self) -> bool:
        return self.flashed or self.may_have_happened()

    def known_by(self, began: float, claimed_ms: int) -> bool:
        """Whether a read begun then, with that claim, must count it in."""
        return self.ended <= began and self.acked_ms <= claimed_ms

    def strict_for(self, began: float) -> bool:
        """Whether no read begun then may show what it took away."""
        return self.settled and self.ended <= began


class Register(Generic[V]):
    """One value, as far as anybody can know."""

    def __init__(self, start: V) -> None:
        self.start = start
        self._first: Change[V] = Change(-2.0, -1.0, "ok", ALWAYS, True, ALWAYS, start, self)
        self._changes: list[Change[V]] = [self._first]
        self._standing: tuple[Change[V], ...] | None = (self._first,)

    def begin(self, at: float, value: V) -> Change[V]:
        change: Change[V] = Change(at, value=value, register=self)
        self._changes.append(change)
        self._standing = None
        return change

    def changed(self) -> None:
        """Of one of its changes more is known now."""
        self._standing = None

    def standing(self) -> tuple[Change[V], ...]:
        """The acked changes, all to one value, that stand for certain now: nothing to the contrary overlaps or
        follows.  Empty: nobody knows."""
        if self._standing is None:
            self._standing = tuple(
                one
                for one in self._changes
                if one.outcome == "ok"
                and all(
                    other.ended < one.began
                    for other in self._changes
                    if other.value != one.value and other.may_have_shown()
                )
            )
        return self._standing

    def certain(self, value: V) -> tuple[Change[V], ...]:
        """Those that stand, if they are to `value`."""
        standing = self.standing()
        return standing if standing and standing[0].value == value else ()

    def ever(self, value: V) -> bool:
        """Whether it may ever have held `value`."""
        return any(one.value == value and one.may_have_shown() for one in self._changes)

    def all(self, value: V) -> tuple[Change[V], ...]:
        """Every change to that value that may have shown."""
        return tuple(one for one in self._changes if one.value == value and one.may_have_shown())

    def all_ended(self, value: V, by: float) -> bool:
        """Whether nothing that would make it `value` is under way, or may be for all anybody knows."""
        return all(one.ended <= by for one in self._changes if one.value == value)

    def untouched(self) -> bool:
        return len(self._changes) == 1
