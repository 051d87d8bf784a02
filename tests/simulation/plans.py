"""Where the simulation looks for a bug put in on purpose, and how long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.simulation.troubles import Climate

Bug = Callable[[ExitStack], None]


@dataclass(frozen=True)
class Plan:
    """Caught within `seeds` histories of this climate."""

    climate: Climate
    seeds: int
