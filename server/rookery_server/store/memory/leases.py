"""Leases that never expire, and the coordinators' clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rookery_server.store.interface import Lease
from rookery_server.store.memory.role import Role


class LeasesRole(Role):
    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        rows = self._world.leases
        return await self._compare_and_set("read_leases", lambda: {name: rows[name] for name in names if name in rows})

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        old = expected or Lease(name, "", 0, 0, 0)
        ceiling_ms = max(old.ceiling_ms, ceiling_ms)
        return await self._swap("take_lease", expected, Lease(name, owner, old.fence + 1, old.renewals + 1, ceiling_ms))

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        new = replace(lease, renewals=lease.renewals + 1, ceiling_ms=max(lease.ceiling_ms, ceiling_ms))
        return await self._swap("renew_lease", lease, new)

    async def release_lease(self, lease: Lease) -> bool:
        return await self._swap("release_lease", lease, replace(lease, owner="")) is not None

    async def _swap(self, operation: str, expected: Lease | None, new: Lease) -> Lease | None:
        def swap() -> Lease | None:
            row = self._world.leases.get(new.name)
            if _identity(row) != _identity(expected):
                return None
            self._world.leases[new.name] = new
            return new

        return await self._compare_and_set(operation, swap)

    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        here = self._clock.now_ms
        return await self._compare_and_set(
            "coordinator_clocks_ms",
            lambda: tuple(self._now_ms() + offset - here() for offset in self._world.offsets_ms),
        )


def _identity(lease: Lease | None) -> tuple[str, int, int] | None:
    return None if lease is None else (lease.owner, lease.fence, lease.renewals)
