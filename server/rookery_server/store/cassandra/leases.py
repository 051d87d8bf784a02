"""`leases`: compare-and-set on (owner, fence, renewals).  An unknown outcome raises: the caller holds nothing then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import compare_and_set, read_serial
from rookery_server.store.interface import Lease

LEASE_READ = read_serial("lease_read", "SELECT owner, fence, renewals, ceiling_ms FROM leases WHERE name = ?")
LEASE_FIRST = compare_and_set(
    "lease_first", "INSERT INTO leases (name, owner, fence, renewals, ceiling_ms) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS"
)
LEASE_CHANGE = compare_and_set(
    "lease_change",
    "UPDATE leases SET owner = ?, fence = ?, renewals = ?, ceiling_ms = ? WHERE name = ?"
    " IF owner = ? AND fence = ? AND renewals = ?",
)
STATEMENTS = (LEASE_READ, LEASE_FIRST, LEASE_CHANGE)


class LeaseTable:
    _session: CassandraSession

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        unique = list(dict.fromkeys(names))
        answers: Any = await self._session.execute_many(LEASE_READ, [(name,) for name in unique])
        return {name: Lease(name, **rows[0]) for name, rows in zip(unique, answers, strict=True) if rows}

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        if expected is not None:
            ceiling = max(expected.ceiling_ms, ceiling_ms)
            return await self._change(expected, Lease(name, owner, expected.fence + 1, expected.renewals + 1, ceiling))
        taken = Lease(name, owner, fence=1, renewals=1, ceiling_ms=ceiling_ms)
        answer = await self._session.compare_and_set(LEASE_FIRST, (name, owner, 1, 1, ceiling_ms))
        return taken if answer["[applied]"] else None

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        ceiling = max(lease.ceiling_ms, ceiling_ms)
        return await self._change(lease, Lease(lease.name, lease.owner, lease.fence, lease.renewals + 1, ceiling))

    async def release_lease(self, lease: Lease) -> bool:
        free = Lease(lease.name, "", lease.fence, lease.renewals, lease.ceiling_ms)
        return await self._change(lease, free) is not None

    async def _change(self, seen: Lease, new: Lease) -> Lease | None:
        values = (new.owner, new.fence, new.renewals, new.ceiling_ms, seen.name, seen.owner, seen.fence, seen.renewals)
        answer = await self._session.compare_and_set(LEASE_CHANGE, values)
        return new if answer["[applied]"] else None
