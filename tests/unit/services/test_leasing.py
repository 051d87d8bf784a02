"""Rules L1 to L6 and L9 of docs/protocols/lease.md."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from rookery_server.domain.errors import IdsRefused, Outcome, StoreUnavailable
from rookery_server.domain.leases import IdLease
from rookery_server.domain.minting import IdMinter, WallGuard
from rookery_server.services.leasing import LeaseBook, WorkerIdKeeper
from rookery_server.store.interface import Lease
from tests.support.hand_clock import START_MS, HandClock, HandGate


@dataclass
class Rows:
    """The leases table.  `fault` strikes the next write: `before` it happens, `after` it did, `silent` for reads."""

    rows: dict[str, Lease] = field(default_factory=dict)
    fault: str = ""

    def _strike(self, when: str) -> None:
        if self.fault == when:
            self.fault = ""
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        self._strike("silent")
        return {name: self.rows[name] for name in names if name in self.rows}

    async def _swap(self, name: str, expected: Lease | None, new: Lease) -> Lease | None:
        self._strike("before")
        if self.rows.get(name) != expected:
            return None
        self.rows[name] = new
        self._strike("after")
        return new

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        old = expected or Lease(name, "", 0, 0, 0)
        new = Lease(name, owner, old.fence + 1, old.renewals + 1, max(old.ceiling_ms, ceiling_ms))
        return await self._swap(name, expected, new)

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        new = replace(lease, renewals=lease.renewals + 1, ceiling_ms=max(lease.ceiling_ms, ceiling_ms))
        return await self._swap(lease.name, lease, new)

    async def release_lease(self, lease: Lease) -> bool:
        return await self._swap(lease.name, lease, replace(lease, owner="")) is not None


class Process:
    """One process that mints: keeper, guard and minter over shared rows."""

    def __init__(self, rows: Rows, time: HandClock, owner: str, names: Sequence[str] = ("worker-id/7",)) -> None:
        self.time, self.gate, self.guard = time, HandGate(), WallGuard(time)
        self.changes: list[str] = []
        self.keeper = WorkerIdKeeper(
            rows, time, owner, self.gate, self.guard, names=names, choice=random.Random(owner),
            changed=lambda kind, change: self.changes.append(change),
        )  # fmt: skip
        self.minter = IdMinter(time, self.keeper, self.gate, self.guard, pause=time.advance)

    def lease(self) -> IdLease:
        lease = self.keeper.current()
        assert lease is not None
        return lease

    def minting(self) -> bool:
        try:
            self.minter.mint()
        except IdsRefused:
            return False
        return True


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def time() -> HandClock:
    return HandClock()


def book(rows: Rows, time: HandClock, owner: str) -> LeaseBook:
    return LeaseBook(rows, time, owner, "shard", 10.0)


async def test_lease_L1_an_uncertain_renewal_that_did_not_happen_is_not_renewed(rows: Rows, time: HandClock) -> None:
    mine = book(rows, time, "a")
    await mine.take("x", None)
    rows.fault = "before"
    assert not await mine.renew("x")
    time.advance(10)
    assert not mine.holds("x")
    assert await mine.renew("x")
    assert mine.holds("x")


async def test_lease_L1_an_uncertain_renewal_that_happened_is_read_back(rows: Rows, time: HandClock) -> None:
    mine = book(rows, time, "a")
    await mine.take("x", None)
    time.advance(5)
    rows.fault = "after"
    assert not await mine.renew("x", 77)
    time.advance(4)
    assert await mine.renew("x", 99)
    assert mine.lease("x").ceiling_ms == 77
    time.advance(5.5)
    assert mine.holds("x"), "what was read back counts from the attempt that did it"
    time.advance(1)
    assert not mine.holds("x")


async def test_lease_L1_a_take_of_unknown_outcome_holds_nothing_and_is_taken_again(rows: Rows, time: HandClock) -> None:
    mine = book(rows, time, "a")
    rows.fault = "after"
    with pytest.raises(StoreUnavailable):
        await mine.take("x", None)
    assert not mine.holds("x")
    row = (await mine.survey(["x"]))["x"]
    assert row.free
    assert await mine.take("x", row.lease)
    assert mine.lease("x").fence == 2


async def test_lease_L2_is_free_only_after_standing_still_on_the_watchers_clock(rows: Rows, time: HandClock) -> None:
    mine, other = book(rows, time, "a"), book(rows, time, "b")
    await mine.take("x", None)
    assert not (await other.survey(["x"]))["x"].free
    time.advance(9.9)
    await mine.renew("x")
    assert not (await other.survey(["x"]))["x"].free
    time.wall_ms += 10**9
    assert not (await other.survey(["x"]))["x"].free
    time.advance(10.1)
    assert (await other.survey(["x"]))["x"].free


async def test_lease_L2_a_released_lease_is_free_at_once(rows: Rows, time: HandClock) -> None:
    mine, other = book(rows, time, "a"), book(rows, time, "b")
    await mine.take("x", None)
    await mine.release("x")
    assert (await other.survey(["x"]))["x"].free


async def test_lease_L3_taking_raises_the_fence_and_ends_the_former_owner(rows: Rows, time: HandClock) -> None:
    mine, other = book(rows, time, "a"), book(rows, time, "b")
    await mine.take("x", None)
    await other.survey(["x"])
    time.advance(10)
    row = (await other.survey(["x"]))["x"]
    assert await other.take("x", row.lease)
    assert other.lease("x").fence == 2
    assert not await mine.renew("x")
    assert mine.held() == ()


async def test_lease_L3_of_two_challengers_one_wins(rows: Rows, time: HandClock) -> None:
    one, two = book(rows, time, "a"), book(rows, time, "b")
    assert await one.take("x", None)
    assert await two.take("x", None) is None
    assert two.held() == ()


async def test_lease_L4_the_ceiling_moves_only_by_a_certain_renewal(rows: Rows, time: HandClock) -> None:
    process = Process(rows, time, "a")
    await process.keeper.step()
    assert process.lease().ceiling_ms == START_MS + 30_000
    time.advance(20)
    rows.fault = "after"
    await process.keeper.step()
    assert process.lease().ceiling_ms == START_MS + 30_000
    time.advance(11)
    assert not process.minting()
    await process.keeper.step()
    assert process.lease().ceiling_ms == rows.rows["worker-id/7"].ceiling_ms == START_MS + 50_000
    assert process.minting()


async def test_lease_L5_a_successor_begins_above_its_predecessors_ceiling(rows: Rows, time: HandClock) -> None:
    first, second = Process(rows, time, "a"), Process(rows, time, "b")
    await first.keeper.step()
    await first.keeper.release()
    assert not first.minting()
    await second.keeper.step()
    assert second.lease().floor_ms == START_MS + 30_000
    assert not second.minting()
    time.advance(30.001)
    await second.keeper.step()
    assert second.minting()


async def test_lease_L5_a_process_that_slept_cannot_mint_what_its_successor_mints(rows: Rows, time: HandClock) -> None:
    sleeper, successor = Process(rows, time, "a"), Process(rows, time, "b")
    await sleeper.keeper.step()
    await successor.keeper.step()
    assert successor.keeper.current() is None
    time.advance(30)
    await successor.keeper.step()
    time.advance(0.001)
    assert not sleeper.minting()
    assert successor.minting()
    await sleeper.keeper.step()
    assert sleeper.keeper.current() is None


async def test_lease_L6_never_taken_before_released_before_lapsed(rows: Rows, time: HandClock) -> None:
    names = [f"worker-id/{n}" for n in range(4)]
    rows.rows[names[0]] = Lease(names[0], "dead", 1, 1, START_MS - 90_000)
    rows.rows[names[1]] = Lease(names[1], "", 3, 9, START_MS - 50_000)
    rows.rows[names[2]] = Lease(names[2], "", 3, 9, START_MS - 60_000)
    watcher = Process(rows, time, "w", [names[0]])
    await watcher.keeper.step()
    workers = [Process(rows, time, owner, names) for owner in "abc"]
    for process in workers:
        await process.keeper.step()
    assert [process.lease().worker for process in workers] == [3, 2, 1]
    assert watcher.keeper.current() is None
    time.advance(30)
    await watcher.keeper.step()
    assert watcher.lease().worker == 0


async def test_lease_L6_a_look_goes_through_all_ids_until_one_is_free(rows: Rows, time: HandClock) -> None:
    names = [f"worker-id/{n}" for n in range(100)]
    for name in names[:-1]:
        rows.rows[name] = Lease(name, "somebody", 1, 1, START_MS)
    process = Process(rows, time, "a", names)
    await process.keeper.step()
    assert process.lease().worker == 99


async def test_lease_L9_after_a_jump_the_ceiling_is_not_raised(rows: Rows, time: HandClock) -> None:
    process = Process(rows, time, "a", ["worker-id/7", "worker-id/8"])
    await process.keeper.step()
    taken = process.lease().worker
    time.wall_ms += 300_000
    await process.keeper.step()
    assert process.changes == ["acquired", "lost"]
    assert rows.rows[f"worker-id/{taken}"].ceiling_ms == START_MS + 30_000
    assert not process.minting()
    time.wall_ms -= 300_000
    await process.keeper.step()
    assert process.minting()


async def test_lease_L9_a_jump_found_by_the_comparison_ends_the_lease_too(rows: Rows, time: HandClock) -> None:
    process = Process(rows, time, "a")
    await process.keeper.step()
    time.wall_ms += 1_500
    process.guard.rebase()
    assert process.keeper.current() is None
    assert not process.minting()


async def test_lease_L10_no_worker_id_is_taken_while_the_gate_is_closed(rows: Rows, time: HandClock) -> None:
    process = Process(rows, time, "a")
    process.gate.open = False
    await process.keeper.step()
    assert rows.rows == {}


async def test_a_store_that_is_away_costs_a_step_and_no_more(rows: Rows, time: HandClock) -> None:
    process = Process(rows, time, "a")
    rows.fault = "silent"
    await process.keeper.step()
    assert process.keeper.current() is None
    await process.keeper.step()
    assert process.minting()
