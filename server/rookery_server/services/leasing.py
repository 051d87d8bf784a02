"""Keeping leases: the ones a process holds, and its worker id.  The rules: docs/protocols/lease.md."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rookery_server.domain import leases, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.leases import IdLease
from rookery_server.domain.minting import ClockView, WallGuard
from rookery_server.store.interface import Lease, LeaseStore

log = logging.getLogger(__name__)

Changed = Callable[[str, str], None]
"""Told (kind, `acquired` | `released` | `lost`); a metric's labels."""


@dataclass(frozen=True, slots=True)
class Held:
    """`certain`: monotonic start of the last renewal known to have happened; `tried`: of the first attempt since."""

    lease: Lease
    certain: float
    tried: float | None = None


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One row as a challenger sees it.  `owner` is empty when nobody alive holds it."""

    lease: Lease | None
    free: bool
    owner: str


class LeaseBook:
    """The leases of one kind that this process holds, and what it has seen of others'.

    `owner` names this process and no other, ever: a restarted process has another name.  `free_after_s` is how long
    a renewal counter must stand still before a lease is taken from its owner, and so how long one's own renewal is
    good for.
    """

    def __init__(
        self, store: LeaseStore, clock: Clock, owner: str, kind: str, free_after_s: float,
        changed: Changed = lambda kind, change: None,
    ) -> None:  # fmt: skip
        self._store, self._clock, self._owner, self._kind = store, clock, owner, kind
        self._free_after_s, self._changed = free_after_s, changed
        self._held: dict[str, Held] = {}
        self._watch = leases.Watch()

    def held(self) -> tuple[str, ...]:
        """Names in the order they were taken, doubtful ones (L13) included."""
        return tuple(self._held)

    def holds(self, name: str) -> bool:
        """For certain, now."""
        held = self._held.get(name)
        return held is not None and self._clock.monotonic() - held.certain < self._free_after_s

    def lease(self, name: str) -> Lease:
        """Raises KeyError for a lease that is not held."""
        return self._held[name].lease

    def renewal_age_s(self) -> float:
        """Of the lease that has gone longest without a certain renewal; 0 when none is held."""
        now = self._clock.monotonic()
        return max((now - held.certain for held in self._held.values()), default=0.0)

    async def survey(self, names: Sequence[str]) -> dict[str, Surveyed]:
        """Reads these rows and notes for how long each has stood still.  Raises StoreUnavailable."""
        rows = await self._store.read_leases(names)
        now = self._clock.monotonic()
        return {name: self._judge(name, rows.get(name), now) for name in names}

    def _judge(self, name: str, row: Lease | None, now: float) -> Surveyed:
        if row is None or not row.owner:
            return Surveyed(row, True, "")
        if row.owner == self._owner:
            # A take whose outcome was unknown, and happened: ours to take for certain.
            return Surveyed(row, name not in self._held, self._owner)
        free = self._watch.see(name, (row.fence, row.renewals), now) >= self._free_after_s
        return Surveyed(row, free, "" if free else row.owner)

    async def take(self, name: str, expected: Lease | None, ceiling_ms: int = 0) -> Lease | None:
        """None: somebody else was first.  Raises StoreUnavailable: nothing is held then."""
        started = self._clock.monotonic()
        lease = await self._store.take_lease(name, expected, self._owner, ceiling_ms)
        if lease is not None:
            self._watch.forget(name)
            self._held[name] = Held(lease, started)
            self._changed(self._kind, "acquired")
        return lease

    async def renew(self, name: str, ceiling_ms: int = 0) -> bool:
        """Whether the lease is still ours for certain, this renewal included; what is unknown is not renewed."""
        held = self._held[name]
        started = self._clock.monotonic()
        self._held[name] = Held(held.lease, held.certain, held.tried or started)
        try:
            lease = await self._store.renew_lease(held.lease, ceiling_ms)
            if lease is None:
                return await self._read_back(name)
        except StoreUnavailable:
            return False
        if name in self._held:
            self._held[name] = Held(lease, started)
        return name in self._held

    async def _read_back(self, name: str) -> bool:
        """The row is not what we thought: an earlier renewal of ours happened after all, or somebody took it."""
        row = (await self._store.read_leases([name])).get(name)
        held = self._held.get(name)
        if held is None:
            return False
        if row is None or (row.owner, row.fence) != (self._owner, held.lease.fence):
            self.lose(name)
            return False
        self._held[name] = Held(row, held.tried or held.certain)
        return True

    def lose(self, name: str) -> None:
        """Stop believing in it; the row stays as it is."""
        if self._held.pop(name, None) is not None:
            log.warning("lease %s is lost", name)
            self._changed(self._kind, "lost")

    async def release(self, name: str) -> None:
        """Gives it back at once; if that cannot be done the row becomes free by standing still."""
        held = self._held.pop(name, None)
        if held is None:
            return
        self._changed(self._kind, "released")
        try:
            await self._store.release_lease(held.lease)
        except StoreUnavailable:
            log.info("lease %s could not be released; it will lapse", name)


LOOKED_AT = 32
"""Worker-id rows read in one look: among 1,024 ids a free one is found in the first nearly always."""


class WorkerIdKeeper:
    """Holds one worker id, renews it, and takes another when it is lost.  An `IdLeaseView` for the minter."""

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        owner: str,
        gate: ClockView,
        guard: WallGuard,
        *,
        names: Sequence[str] = leases.WORKER_IDS,
        ceiling_ahead_ms: int = limits.CEILING_AHEAD_MS,
        free_after_s: float = limits.LEASE_FREE_AFTER_S,
        every_s: float = 5.0,
        choice: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        changed: Changed = lambda kind, change: None,
    ) -> None:
        self._clock, self._gate, self._guard = clock, gate, guard
        self._names, self._ahead_ms, self._every_s, self._sleep = list(names), ceiling_ahead_ms, every_s, sleep
        self._choice = choice or random.Random()
        self._book = LeaseBook(store, clock, owner, "worker_id", free_after_s, changed)
        self._current: IdLease | None = None
        self._name, self._jumps = "", 0

    def current(self) -> IdLease | None:
        return self._current if self._jumps == self._guard.jumps else None

    def lose(self) -> None:
        self._current = None

    def renewal_age_s(self) -> float:
        return self._book.renewal_age_s()

    async def step(self) -> None:
        """Renews what is held, or looks for a worker id once.  Never raises for the store's sake."""
        try:
            if self._name and (self._guard.jumped() or self.current() is None):
                await self._give_up()
            if not self._gate.open or self._guard.jumped():
                return
            if self._name:
                await self._renew()
            else:
                await self._seek()
        except StoreUnavailable as error:
            log.warning("worker id not renewed: %s", error)

    async def run(self) -> None:
        while True:
            await self.step()
            await self._sleep(self._every_s)

    async def release(self) -> None:
        """At the end of the process: nothing is minted from now on; the row and its ceiling stay."""
        if self._name:
            name, self._name, self._current = self._name, "", None
            await self._book.release(name)

    async def _give_up(self) -> None:
        """After a jump: not renewed, so that the ceiling is never raised by a clock that is wrong."""
        self._book.lose(self._name)
        self._name, self._current = "", None

    async def _renew(self) -> None:
        held = self._current
        certain = await self._book.renew(self._name, self._clock.now_ms() + self._ahead_ms)
        if self._name not in self._book.held():
            self._name, self._current = "", None
        elif certain and held is not None and self._current is held:
            ceiling_ms = self._book.lease(self._name).ceiling_ms
            self._current = IdLease(held.worker, held.floor_ms, ceiling_ms)

    async def _seek(self) -> None:
        """One look through the ids, in random order, at most to the end of them."""
        order = self._choice.sample(self._names, len(self._names))
        for at in range(0, len(order), LOOKED_AT):
            rows = await self._book.survey(order[at : at + LOOKED_AT])
            for name, row in sorted(rows.items(), key=_preference):
                if row.free and await self._take(name, row.lease):
                    return
        log.error("no worker id is free among %d", len(self._names))

    async def _take(self, name: str, expected: Lease | None) -> bool:
        jumps, now = self._guard.jumps, self._clock.now_ms()
        lease = await self._book.take(name, expected, now + self._ahead_ms)
        if lease is None:
            return False
        self._name, self._jumps = name, jumps
        floor_ms = expected.ceiling_ms if expected else 0
        self._current = IdLease(leases.worker_id_of(name), floor_ms, lease.ceiling_ms)
        log.info("worker id %s taken, ids above %d ms", name, floor_ms)
        return True


def _preference(item: tuple[str, Surveyed]) -> tuple[int, int]:
    """Never taken, then released, then lapsed; the oldest ceiling first, since ids begin above it."""
    lease = item[1].lease
    if lease is None:
        return 0, 0
    return (2 if lease.owner else 1), lease.ceiling_ms
