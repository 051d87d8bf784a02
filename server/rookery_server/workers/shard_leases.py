"""Which shards this worker reads: its fair share.  Rules L2 and L11 to L13 of docs/protocols/lease.md."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Protocol

from rookery_server.domain import leases
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.services.leasing import Changed, LeaseBook, Surveyed
from rookery_server.store.interface import LeaseStore

log = logging.getLogger(__name__)


class Owner(Protocol):
    """Told of every change, one at a time."""

    async def gained(self, shard: int, fence: int) -> None: ...

    async def giving(self, shard: int) -> None:
        """About to be released: returns when the pages in hand are done, W is moved and the position saved."""
        ...

    async def lost(self, shard: int) -> None: ...


class ShardLeases:
    """`step` is to be called every renewal period; it never raises for the store's sake."""

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        name: str,
        shards: int,
        free_after_s: float,
        owner: Owner,
        choice: random.Random,
        changed: Changed,
    ) -> None:
        self._shards, self._name, self._owner, self._choice = shards, name, owner, choice
        self._book = LeaseBook(store, clock, name, "shard", free_after_s, changed)
        self._seats = LeaseBook(store, clock, name, "singleton", free_after_s, changed)
        self.unowned = shards

    def holds(self, shard: int) -> bool:
        return self._book.holds(leases.shard_name(shard))

    def owned(self) -> list[int]:
        return [leases.shard_of_name(name) for name in self._book.held()]

    def renewal_age_s(self) -> float:
        return self._book.renewal_age_s()

    async def step(self) -> None:
        await self._renew()
        try:
            shards = await self._book.survey([leases.shard_name(shard) for shard in range(self._shards)])
            seats = await self._seats.survey([leases.seat_name(seat) for seat in range(self._shards)])
            await self._sit_down(seats)
            await self._balance(shards, seats)
        except StoreUnavailable as error:
            log.warning("shard leases not surveyed: %s", error)

    async def _renew(self) -> None:
        before = self._book.held()
        await asyncio.gather(
            *(self._book.renew(name) for name in before), *(self._seats.renew(name) for name in self._seats.held())
        )
        for name in before:
            if name not in self._book.held():
                await self._owner.lost(leases.shard_of_name(name))

    async def _sit_down(self, seats: Mapping[str, Surveyed]) -> None:
        if self._seats.held():
            return
        free = [name for name, seat in seats.items() if seat.free]
        self._choice.shuffle(free)
        for name in free:
            if await self._seats.take(name, seats[name].lease):
                return

    async def _balance(self, shards: Mapping[str, Surveyed], seats: Mapping[str, Surveyed]) -> None:
        alive = {row.owner for row in (*shards.values(), *seats.values()) if row.owner} | {self._name}
        share = leases.fair_share(self._shards, alive)
        held = self._book.held()
        # Those held longest: what was taken lately may still be recovering, and would begin again with its next owner.
        surplus = held[: max(0, len(held) - share)]
        await asyncio.gather(*(self.give(leases.shard_of_name(name)) for name in surplus))
        free = [name for name, row in shards.items() if row.free and name not in held]
        self._choice.shuffle(free)
        for name in free[: max(0, share - len(held))]:
            lease = await self._book.take(name, shards[name].lease)
            if lease is not None:
                await self._owner.gained(leases.shard_of_name(name), lease.fence)
        self.unowned = sum(not row.owner for name, row in shards.items() if name not in self._book.held())

    async def give(self, shard: int) -> None:
        await self._owner.giving(shard)
        await self._book.release(leases.shard_name(shard))

    async def lose(self, shard: int) -> None:
        """A save was refused, or the clock jumped: the row is not to be renewed any more."""
        self._book.lose(leases.shard_name(shard))
        await self._owner.lost(shard)

    async def give_all(self) -> None:
        await asyncio.gather(*(self.give(shard) for shard in self.owned()))
        for name in self._seats.held():
            await self._seats.release(name)
