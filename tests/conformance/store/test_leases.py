"""Leases: compare-and-set on owner, fence and renewals.  And the coordinators' clocks."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rookery_server.domain.clock import SystemClock
from rookery_server.store.interface import Lease, Store
from tests.conformance.store.conftest import MakeStore

NAME = "shard/3"


async def taken(store: Store, owner: str = "one", ceiling_ms: int = 100) -> Lease:
    lease = await store.take_lease(NAME, None, owner, ceiling_ms)
    assert lease is not None
    return lease


async def test_a_lease_nobody_had_is_taken(store: Store) -> None:
    assert await store.read_leases([NAME]) == {}
    lease = await taken(store)
    assert lease == Lease(NAME, "one", 1, 1, 100)
    assert await store.read_leases([NAME, "other", NAME]) == {NAME: lease}


async def test_only_one_takes_it_first(make_store: MakeStore) -> None:
    stores = [make_store(SystemClock()) for _ in range(5)]
    leases = await asyncio.gather(*(one.take_lease(NAME, None, str(at), 1) for at, one in enumerate(stores)))
    assert sum(lease is not None for lease in leases) == 1


async def test_taking_needs_the_row_as_it_was_seen(store: Store) -> None:
    first = await taken(store)
    assert await store.take_lease(NAME, None, "two", 1) is None
    assert await store.take_lease(NAME, replace(first, renewals=9), "two", 1) is None
    assert await store.take_lease(NAME, replace(first, owner="x"), "two", 1) is None
    assert await store.take_lease(NAME, replace(first, fence=9), "two", 1) is None
    assert await store.read_leases([NAME]) == {NAME: first}


async def test_taking_raises_the_fence_and_never_lowers_the_ceiling(store: Store) -> None:
    first = await taken(store, ceiling_ms=500)
    second = await store.take_lease(NAME, first, "two", 100)
    assert second == Lease(NAME, "two", 2, 2, 500)
    third = await store.take_lease(NAME, second, "three", 900)
    assert third == Lease(NAME, "three", 3, 3, 900)


async def test_renewing_counts_and_raises_the_ceiling(store: Store) -> None:
    first = await taken(store, ceiling_ms=500)
    second = await store.renew_lease(first, 600)
    assert second == Lease(NAME, "one", 1, 2, 600)
    assert await store.renew_lease(second, 10) == Lease(NAME, "one", 1, 3, 600)


async def test_a_lease_that_changed_is_not_renewed(store: Store) -> None:
    first = await taken(store)
    second = await store.take_lease(NAME, first, "two", 1)
    assert await store.renew_lease(first, 1_000) is None
    assert await store.read_leases([NAME]) == {NAME: second}


async def test_a_released_lease_keeps_fence_and_ceiling(store: Store) -> None:
    first = await taken(store, ceiling_ms=500)
    assert await store.release_lease(first)
    free = (await store.read_leases([NAME]))[NAME]
    assert free == replace(first, owner="")
    assert not await store.release_lease(first)
    again = await store.take_lease(NAME, free, "two", 1)
    assert again is not None
    assert (again.fence, again.ceiling_ms) == (2, 500)


async def test_only_the_holder_releases(store: Store) -> None:
    first = await taken(store)
    second = await store.take_lease(NAME, first, "two", 1)
    assert not await store.release_lease(first)
    assert await store.read_leases([NAME]) == {NAME: second}


class Behind:
    """A process whose clock is four seconds slow."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - 4_000

    def monotonic(self) -> float:
        return SystemClock().monotonic()


async def test_the_coordinators_clocks_are_told_as_offsets(make_store: MakeStore) -> None:
    here = await make_store(SystemClock()).coordinator_clocks_ms()
    assert 1 <= len(here) <= 3
    assert all(abs(offset) < 1_000 for offset in here)
    behind = await make_store(Behind()).coordinator_clocks_ms()
    assert all(3_000 < offset < 5_000 for offset in behind)
