"""What a coordinator's clock is believed to say: rule L10 of docs/protocols/lease.md."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.store.cassandra.clocks import Clocks
from tests.support.hand_clock import HandClock

AHEAD_MS = 300


class Ring:
    """One node whose clock is ahead; the whole process stands still for `still_s` before it sees the answer."""

    def __init__(self, clock: HandClock) -> None:
        self._clock, self.still_s = clock, 0.0

    def nodes(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="one")]

    async def execute(self, statement: object, *, node: object) -> list[tuple[int]]:
        said = self._clock.now_ms() + AHEAD_MS
        self._clock.advance(self.still_s)
        return [(said,)]


def asked() -> tuple[Clocks, Ring]:
    clocks, clock = Clocks(), HandClock()
    ring = Ring(clock)
    clocks._clock, clocks._session = clock, cast("Any", ring)
    return clocks, ring


async def test_lease_L10_an_answer_is_held_against_the_middle_of_its_course() -> None:
    clocks, ring = asked()
    assert await clocks.coordinator_clocks_ms() == (AHEAD_MS,)
    ring.still_s = 0.4
    assert await clocks.coordinator_clocks_ms() == (AHEAD_MS - 200,)


async def test_lease_L10_an_answer_that_this_process_saw_late_says_nothing() -> None:
    """Three seconds would pass for an offset of one and a half, and close the gate."""
    clocks, ring = asked()
    ring.still_s = 3.0
    with pytest.raises(StoreUnavailable):
        await clocks.coordinator_clocks_ms()
    ring.still_s = 0.0
    assert await clocks.coordinator_clocks_ms() == (AHEAD_MS,)
