"""Rule L10 of docs/protocols/lease.md."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.minting import WallGuard
from rookery_server.services.clock_gate import ClockGate
from tests.support.hand_clock import HandClock


@dataclass
class Coordinators:
    offsets: tuple[int, ...] | None

    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        if self.offsets is None:
            raise StoreUnavailable
        return self.offsets


def gate(offsets: tuple[int, ...] | None) -> tuple[ClockGate, Coordinators, HandClock, list[float]]:
    time, seen = HandClock(), list[float]()
    coordinators = Coordinators(offsets)
    return ClockGate(coordinators, WallGuard(time), seen=seen.append), coordinators, time, seen


async def test_lease_L10_closed_until_asked_for_the_first_time() -> None:
    gated, _, _, seen = gate((0, 0, 0))
    assert not gated.open
    await gated.measure()
    assert gated.open
    assert seen == [0.0]


@pytest.mark.parametrize(
    ("offsets", "is_open"),
    [((1000,), True), ((1001,), False), ((-1001, -1001, 0), False), ((-900_000, 3, 900), True), ((600, 1500), False)],
)
async def test_lease_L10_the_median_decides(offsets: tuple[int, ...], is_open: bool) -> None:
    gated, *_ = gate(offsets)
    await gated.measure()
    assert gated.open is is_open


async def test_lease_L10_opens_again_when_the_clock_is_right_again() -> None:
    gated, coordinators, *_ = gate((5000,))
    await gated.measure()
    coordinators.offsets = (5,)
    await gated.measure()
    assert gated.open


async def test_lease_L10_no_answer_changes_nothing() -> None:
    gated, coordinators, _, seen = gate((5,))
    await gated.measure()
    for silent in (None, ()):
        coordinators.offsets = silent
        await gated.measure()
        assert gated.open
    assert seen == [0.005]


async def test_lease_L10_a_jump_closes_it_before_the_next_comparison() -> None:
    gated, _, time, _ = gate((5,))
    await gated.measure()
    time.wall_ms += 1_500
    assert not gated.open
    await gated.measure()
    assert gated.open


async def test_lease_L10_a_comparison_in_whose_course_the_clock_was_set_counts_for_nothing() -> None:
    """Two of three coordinators were asked before."""
    gated, coordinators, time, seen = gate((5,))
    await gated.measure()
    answer = coordinators.coordinator_clocks_ms

    async def set_meanwhile() -> tuple[int, ...]:
        time.set_by(300_000)
        return await answer()

    coordinators.coordinator_clocks_ms = set_meanwhile  # type: ignore[method-assign]
    await gated.measure()
    assert not gated.open
    assert len(seen) == 1
    coordinators.coordinator_clocks_ms = answer  # type: ignore[method-assign]
    coordinators.offsets = (-300_000,)
    await gated.measure()
    assert not gated.open
