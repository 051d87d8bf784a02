"""Rules L4, L5, L7 to L10 of docs/protocols/lease.md, as far as the minter keeps them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery_server.domain import ids, limits
from rookery_server.domain.errors import IdsRefused
from rookery_server.domain.leases import IdLease
from rookery_server.domain.minting import IdMinter, WallGuard
from tests.support.hand_clock import START_MS, HandClock


@dataclass
class Held:
    lease: IdLease | None
    lost: int = 0

    def current(self) -> IdLease | None:
        return self.lease

    def lose(self) -> None:
        self.lease, self.lost = None, self.lost + 1


@dataclass
class Gate:
    open: bool = True


@dataclass
class Mint:
    """One minter with everything it looks at."""

    worker: int = 7
    floor_ms: int = 0
    ceiling_ms: int = START_MS + 30_000
    clock: HandClock = field(default_factory=HandClock)
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        self.held = Held(IdLease(self.worker, self.floor_ms, self.ceiling_ms))
        self.guard = WallGuard(self.clock)
        self.refused: list[str] = []
        self.minter = IdMinter(
            self.clock, self.held, self.gate, self.guard, pause=self.clock.advance, refused=self.refused.append
        )

    def __call__(self) -> int:
        return self.minter.mint()

    def refusal(self) -> str:
        with pytest.raises(IdsRefused) as refused:
            self()
        assert self.refused[-1] == refused.value.cause_code
        return refused.value.cause_code


def test_an_id_says_who_minted_it_and_when() -> None:
    id_ = Mint(worker=1023)()
    assert (ids.time_ms(id_), ids.worker_of(id_), ids.sequence_of(id_)) == (START_MS, 1023, 0)


def test_lease_L4_nothing_is_minted_above_the_ceiling() -> None:
    mint = Mint(ceiling_ms=START_MS + 5)
    mint.clock.advance(0.005)
    assert ids.time_ms(mint()) == START_MS + 5
    mint.clock.advance(0.001)
    assert mint.refusal() == "ceiling"


def test_lease_L4_nothing_is_minted_without_a_lease() -> None:
    mint = Mint()
    mint.held.lease = None
    assert mint.refusal() == "ceiling"


def test_lease_L5_a_successor_mints_above_the_ceiling_it_found() -> None:
    mint = Mint(floor_ms=START_MS + 3)
    assert mint.refusal() == "ceiling"
    mint.clock.advance(0.003)
    assert mint.refusal() == "ceiling"
    mint.clock.advance(0.001)
    assert ids.time_ms(mint()) == START_MS + 4


def test_lease_L7_a_thousand_a_millisecond_then_the_next_one() -> None:
    mint = Mint()
    minted = [mint() for _ in range(limits.SEQUENCE_PER_MS + 1)]
    assert {ids.time_ms(id_) for id_ in minted[:-1]} == {START_MS}
    assert ids.time_ms(minted[-1]) == START_MS + 1
    assert minted == sorted(set(minted))
    assert max(map(ids.sequence_of, minted)) == limits.SEQUENCE_PER_MS - 1


def test_lease_L7_a_clock_that_stands_still_refuses_instead_of_hanging() -> None:
    mint = Mint()
    mint.minter = IdMinter(mint.clock, mint.held, mint.gate, mint.guard, pause=lambda s: None)
    for _ in range(limits.SEQUENCE_PER_MS):
        mint()
    with pytest.raises(IdsRefused, match="no id"):
        mint()


def test_lease_L8_a_small_step_back_is_waited_out() -> None:
    mint = Mint()
    before = mint()
    mint.clock.set_by(-limits.STEP_BACK_WAIT_MS)
    assert mint() > before
    assert mint.clock.mono <= 50.0 + limits.STEP_BACK_WAIT_MS / 1000 + 0.002


def test_lease_L8_a_larger_step_back_refuses_until_the_clock_has_caught_up() -> None:
    mint = Mint()
    before = mint()
    mint.clock.set_by(-limits.STEP_BACK_WAIT_MS - 1)
    assert mint.refusal() == "clock"
    mint.clock.advance(0.1)
    assert mint() > before
    assert mint.held.lost == 0


@pytest.mark.parametrize("step_ms", [-300_000, -1_001, 1_001, 300_000])
def test_lease_L9_a_jump_loses_the_lease(step_ms: int) -> None:
    mint = Mint()
    mint()
    mint.clock.set_by(step_ms)
    assert mint.refusal() == "clock"
    assert mint.held.lost == 1
    assert mint.refusal() == "ceiling"


def test_lease_L9_a_slow_drift_is_no_jump() -> None:
    mint = Mint(ceiling_ms=START_MS + 10**9)
    for _ in range(100):
        mint.clock.advance(1)
        mint.clock.set_by(50)
        mint.guard.rebase()
        mint()
    assert mint.guard.jumps == 0


def test_lease_L9_a_jump_that_a_comparison_found_first_is_counted() -> None:
    mint = Mint()
    mint.clock.set_by(5_000)
    mint.guard.rebase()
    assert (mint.guard.jumped(), mint.guard.jumps) == (False, 1)


@pytest.mark.parametrize("held_up_s", [0.4, 1.5, 20.0])
def test_lease_L9_a_process_held_up_between_two_looks_at_its_clocks_has_not_jumped(held_up_s: float) -> None:
    @dataclass
    class HeldUp(HandClock):
        after_walls: int = 10**9

        def now_ms(self) -> int:
            wall_ms = super().now_ms()
            self.after_walls -= 1
            if self.after_walls == 0:
                self.advance(held_up_s)
            return wall_ms

    for after in (1, 2, 3, 4):
        clock = HeldUp()
        guard = WallGuard(clock)
        clock.after_walls = after
        for _ in range(2):
            assert not guard.jumped()
            guard.rebase()
        assert guard.jumps == 0
        clock.set_by(1_500)
        assert guard.jumped()


def test_lease_L9_a_process_that_is_always_held_up_looks_five_times() -> None:
    """It cannot tell then; what it saw last is as good as any, and a large jump still shows."""

    @dataclass
    class Slow(HandClock):
        looks: int = 0

        def now_ms(self) -> int:
            self.looks += 1
            assert self.looks <= 5
            self.advance(0.1)
            return super().now_ms()

    clock = Slow()
    guard = WallGuard(clock)
    assert clock.looks == 5
    clock.looks = 0
    assert not guard.jumped()
    assert clock.looks == 5
    clock.looks = 0
    clock.set_by(5_000)
    assert guard.jumped()


def test_lease_L9_a_jump_in_the_course_of_a_rebase_is_not_lost() -> None:
    """However the process is held up: the jump is counted, or is still there to be seen."""

    @dataclass
    class Frozen(HandClock):
        looks_left: int = 10**9

        def _look(self) -> None:
            self.looks_left -= 1
            if self.looks_left == 0:
                self.advance(20.0)
                self.set_by(5_000)

        def now_ms(self) -> int:
            self._look()
            return super().now_ms()

        def monotonic(self) -> float:
            self._look()
            return super().monotonic()

    for look in range(1, 7):
        clock = Frozen()
        guard = WallGuard(clock)
        clock.looks_left = look
        guard.rebase()
        assert guard.jumps + guard.jumped() == 1, look


def test_lease_L10_a_closed_gate_refuses() -> None:
    mint = Mint()
    mint.gate.open = False
    assert mint.refusal() == "clock"
    mint.gate.open = True
    assert mint()


moves = st.lists(
    st.one_of(
        st.tuples(st.just("mint"), st.integers(1, 1_500)),
        st.tuples(st.just("pass"), st.sampled_from([1, 2, 1_000, 30_001])),
        st.tuples(st.just("step"), st.integers(-300_000, 300_000)),
        st.tuples(st.just("nudge"), st.integers(-20, 20)),
        st.tuples(st.just("renew"), st.integers(0, 1)),
        st.tuples(st.just("kill"), st.integers(0, 1)),
        st.tuples(st.just("zombie"), st.integers(1, 50)),
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class Row:
    """The row of the one worker id everybody fights for: compare-and-set, as the store does it."""

    ceiling_ms: int = 0
    fence: int = 0

    def take(self, now_ms: int) -> IdLease:
        floor_ms, self.fence = self.ceiling_ms, self.fence + 1
        self.ceiling_ms = max(self.ceiling_ms, now_ms + limits.CEILING_AHEAD_MS)
        return IdLease(7, floor_ms, self.ceiling_ms)

    def renew(self, fence: int, lease: IdLease, now_ms: int, answered: bool) -> IdLease | None:
        """The answer may get lost; the row has changed all the same."""
        if fence != self.fence:
            return None
        self.ceiling_ms = max(self.ceiling_ms, now_ms + limits.CEILING_AHEAD_MS)
        return IdLease(7, lease.floor_ms, self.ceiling_ms) if answered else lease


@settings(max_examples=300, deadline=None)
@given(moves, st.integers(0, 2**32))
def test_lease_L5_no_id_twice_over_kills_zombies_and_clock_steps(script: list[tuple[str, int]], seed: int) -> None:
    """One worker id, many processes after one another, dead ones that mint on: nothing but the row protects them."""
    chance, row, clock, minted = random.Random(seed), Row(), HandClock(), []
    processes: list[tuple[Mint, int]] = []

    def begin() -> None:
        mint = Mint(clock=clock)
        mint.held.lease = row.take(clock.now_ms())
        processes.append((mint, row.fence))

    def mint_some(mint: Mint, count: int) -> None:
        for _ in range(count):
            try:
                minted.append(mint())
            except IdsRefused:
                return

    begin()
    for what, amount in script:
        mint, fence = processes[-1]
        if what == "mint":
            mint_some(mint, amount)
        elif what == "pass":
            clock.advance(amount / 1000)
        elif what in ("step", "nudge"):
            clock.set_by(amount)
        elif what == "renew" and mint.held.lease is not None:
            mint.held.lease = row.renew(fence, mint.held.lease, clock.now_ms(), answered=bool(amount))
        elif what == "kill":
            begin()
        elif what == "zombie":
            mint_some(chance.choice(processes)[0], amount)
    assert len(set(minted)) == len(minted)
