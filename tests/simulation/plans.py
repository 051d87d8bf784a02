"""Where the simulation looks for a bug put in on purpose, and how long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.simulation.troubles import Climate

Bug = Callable[[ExitStack], None]


@dataclass(frozen=True)
class Plan:
    """Caught within `seeds` histories of this climate.  `first`: the seed that is tried before the others, since it
    caught the bug when somebody last looked; any other of them does as well."""

    climate: Climate
    seeds: int
    first: int = 0

    def order(self) -> list[int]:
        return [self.first, *(seed for seed in range(self.seeds) if seed != self.first)]
