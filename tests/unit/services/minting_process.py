"""A process that mints for `test_leasing_processes`: argv = lease file, id log, owner, seed.

Its wall clock steps by up to ± 300 s now and then; its leases lie in a file under a lock, changed by compare-and-set.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rookery_server.domain.errors import IdsRefused
from rookery_server.domain.minting import IdMinter, WallGuard
from rookery_server.services.clock_gate import ClockGate
from rookery_server.services.leasing import WorkerIdKeeper
from rookery_server.store.interface import Lease

NAMES = ("worker-id/1", "worker-id/2")


class SteppingClock:
    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic(self) -> float:
        return time.monotonic()


class FileLeases:
    def __init__(self, path: Path, clock: SteppingClock) -> None:
        self._path, self._clock = path, clock

    def _locked(self, change: Callable[[dict[str, Lease]], Lease | None]) -> Lease | None:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = {name: Lease(**row) for name, row in json.loads(self._path.read_text() or "{}").items()}
            made = change(rows)
            if made is not None:
                rows[made.name] = made
                new = self._path.with_suffix(".new")
                new.write_text(json.dumps({name: asdict(row) for name, row in rows.items()}))
                new.replace(self._path)  # in one step: a kill leaves the old rows or the new ones
            return made

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        found: dict[str, Lease] = {}

        def look(rows: dict[str, Lease]) -> None:
            found.update({name: rows[name] for name in names if name in rows})

        self._locked(look)
        return found

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        old = expected or Lease(name, "", 0, 0, 0)
        new = Lease(name, owner, old.fence + 1, old.renewals + 1, max(old.ceiling_ms, ceiling_ms))
        return self._locked(lambda rows: new if rows.get(name) == expected else None)

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        new = replace(lease, renewals=lease.renewals + 1, ceiling_ms=max(lease.ceiling_ms, ceiling_ms))
        return self._locked(lambda rows: new if rows.get(lease.name) == lease else None)

    async def release_lease(self, lease: Lease) -> bool:
        new = replace(lease, owner="")
        return self._locked(lambda rows: new if rows.get(lease.name) == lease else None) is not None

    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        return (-self._clock.offset_ms,)


async def main(leases: Path, ids: Path, owner: str, seed: int) -> None:
    chance, clock = random.Random(seed), SteppingClock()
    clock.offset_ms = chance.choice([0, 0, 0, -300_000, 300_000, 400])
    store, guard = FileLeases(leases, clock), WallGuard(clock)
    gate = ClockGate(store, guard)
    keeper = WorkerIdKeeper(
        store, clock, owner, gate, guard, names=NAMES, ceiling_ahead_ms=200, free_after_s=0.3, choice=chance
    )
    minter = IdMinter(clock, keeper, gate, guard)
    out = os.open(ids, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        await gate.measure()
        await keeper.step()
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            with contextlib.suppress(IdsRefused):
                os.write(out, b"".join(b"%d\n" % minter.mint() for _ in range(50)))
            await asyncio.sleep(0.002)
        if chance.random() < 0.05:
            clock.offset_ms = chance.choice([0, 0, 0, -300_000, 300_000, 900, -900, 5])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
