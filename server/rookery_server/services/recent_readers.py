"""Whose home was read lately: a bounded sample for the verifier."""

from __future__ import annotations

import random
from typing import Protocol

SAMPLE = 1_000
"""Users remembered: hours of work for a verifier that looks at one each ten seconds."""


class Dice(Protocol):
    """Of `random.Random`, what is needed here."""

    def randrange(self, stop: int, /) -> int: ...


class RecentReaders:
    """Whoever is noted takes a place by chance when all are taken, so what is read more often is drawn more often."""

    def __init__(self, dice: Dice | None = None, size: int = SAMPLE):
        self._dice = dice or random.Random()
        self._size = size
        self._users: list[int] = []

    def note(self, user_id: int) -> None:
        if len(self._users) < self._size:
            self._users.append(user_id)
        else:
            self._users[self._dice.randrange(self._size)] = user_id

    def draw(self) -> int | None:
        """Takes one out; None = nobody was there."""
        if not self._users:
            return None
        at = self._dice.randrange(len(self._users))
        self._users[at], self._users[-1] = self._users[-1], self._users[at]
        return self._users.pop()
