"""Tiers of authors: compare-and-set on the row that was judged by."""

from __future__ import annotations

import asyncio

from rookery_server.domain.clock import SystemClock
from rookery_server.domain.fanout import AuthorTier
from rookery_server.store.interface import Store
from tests.conformance.store.conftest import MakeStore

AT_MS = 1_700_000_000_000


async def test_nobody_has_a_row_from_the_start(store: Store) -> None:
    assert await store.tiers() == ()


async def test_rows_come_all_at_once_by_author(store: Store) -> None:
    rows = [AuthorTier(author, author != 2, AT_MS + author) for author in range(1, 5)]
    for row in reversed(rows):
        assert await store.set_tier(None, row) == row
    assert await store.tiers() == tuple(rows)


async def test_a_row_is_changed_only_from_what_was_expected(store: Store) -> None:
    first, second = AuthorTier(7, True, AT_MS), AuthorTier(7, False, AT_MS + 5)
    third = AuthorTier(7, True, AT_MS + 9)
    await store.set_tier(None, first)
    assert await store.set_tier(None, second) == first
    assert await store.set_tier(second, third) == first
    assert await store.set_tier(AuthorTier(7, True, AT_MS + 1), third) == first
    assert await store.set_tier(AuthorTier(7, False, AT_MS), third) == first
    assert await store.set_tier(first, second) == second
    assert await store.set_tier(first, third) == second
    assert await store.tiers() == (second,)


async def test_setting_again_tells_what_stands(store: Store) -> None:
    first, second = AuthorTier(7, True, AT_MS), AuthorTier(7, False, AT_MS + 5)
    assert [await store.set_tier(None, first) for _ in range(2)] == [first, first]
    assert [await store.set_tier(first, second) for _ in range(2)] == [second, second]


async def test_of_a_row_that_is_not_there_nothing_is_changed(store: Store) -> None:
    expected = AuthorTier(7, True, AT_MS)
    assert await store.set_tier(expected, AuthorTier(7, False, AT_MS + 1)) == expected
    assert await store.tiers() == ()


async def test_of_many_who_decide_one_is_heard(make_store: MakeStore) -> None:
    tiers = [AuthorTier(7, True, AT_MS + number) for number in range(6)]
    stores = [make_store(SystemClock()) for _ in tiers]
    stood = await asyncio.gather(*(one.set_tier(None, tier) for one, tier in zip(stores, tiers, strict=True)))
    (won,) = set(stood)
    assert won in tiers
    changes = [AuthorTier(7, False, AT_MS + number) for number in range(6)]
    stood = await asyncio.gather(*(one.set_tier(won, tier) for one, tier in zip(stores, changes, strict=True)))
    (changed,) = set(stood)
    assert changed in changes
    assert await stores[0].tiers() == (changed,)
