"""Ids for the suites: of now, or of some seconds ago."""

from __future__ import annotations

import itertools
import time

from rookery_server.domain import ids
from rookery_server.domain.events import Event, EventKind


class Ids:
    """Rising, as one worker mints them."""

    def __init__(self) -> None:
        self._next = itertools.count()

    def mint(self, age_s: float = 0.0) -> int:
        number = next(self._next)
        return ids.compose(time.time_ns() // 1_000_000 - int(age_s * 1000), number // 1000 % 1000, number % 1000)

    def event(self, kind: EventKind, subject: int, target: int, version: int) -> Event:
        return Event(self.mint(), kind, subject, target, version)
