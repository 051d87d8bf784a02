"""Users, names, request ids: compare-and-set."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import NotFound
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.store.interface import NameClaim, Store
from tests.conformance.store.conftest import MakeStore

ADA = User(7, "Ada", Profile("Ada L.", "numbers", "London", "https://example.org"), 1_700_000_000_000, "e1")


async def test_a_name_is_claimed_once(store: Store) -> None:
    first, second = NameClaim(1, b"h1", 10), NameClaim(2, b"h2", 20)
    assert await store.find_name("ada") is None
    assert await store.claim_name("ada", first) == first
    assert await store.claim_name("ada", second) == first
    assert await store.find_name("ada") == first


async def test_claiming_again_is_claiming(store: Store) -> None:
    claim = NameClaim(1, b"h1", 10)
    assert [await store.claim_name("ada", claim) for _ in range(2)] == [claim, claim]


async def test_of_many_who_claim_one_name_one_gets_it(make_store: MakeStore) -> None:
    claims = [NameClaim(number, b"%d" % number, number) for number in range(1, 7)]
    stores = [make_store(SystemClock()) for _ in claims]
    stood = await asyncio.gather(*(one.claim_name("ada", claim) for one, claim in zip(stores, claims, strict=True)))
    assert len(set(stood)) == 1
    assert stood[0] in claims


async def test_a_name_is_taken_over_only_from_whom_was_expected(store: Store) -> None:
    first, second, third = NameClaim(1, b"h1", 10), NameClaim(2, b"h2", 20), NameClaim(3, b"h3", 30)
    await store.claim_name("ada", first)
    assert await store.take_over_name("ada", second, third) == first
    assert await store.take_over_name("ada", first, second) == second
    assert await store.take_over_name("ada", first, third) == second
    assert await store.find_name("ada") == second


async def test_an_account_is_created_once(store: Store) -> None:
    other = User(7, "Eve", Profile(), 5, "e9")
    assert await store.create_user(ADA) == ADA
    assert await store.create_user(other) == ADA
    assert await store.get_users([7]) == {7: ADA}


async def test_every_field_of_an_account_is_kept(store: Store) -> None:
    user = User(9, "名", Profile("d", "b\nc", "l", "u"), 123, "etag", protected=True, state=UserState.SUSPENDED)
    await store.create_user(user)
    assert (await store.get_users([9]))[9] == user


async def test_unknown_accounts_are_absent(store: Store) -> None:
    await store.create_user(ADA)
    assert await store.get_users([]) == {}
    assert await store.get_users([8, 7, 7, 6]) == {7: ADA}


async def test_a_change_is_stored_under_the_etag_it_expects(store: Store) -> None:
    await store.create_user(ADA)
    changed = replace(
        ADA, username="Countess", profile=Profile("Ada", "", "", ""), etag="e2", protected=True,
        state=UserState.DEACTIVATED_AND_SUSPENDED,
    )  # fmt: skip
    assert await store.replace_user(changed, "e1") == changed
    assert await store.get_users([7]) == {7: changed}
    assert await store.settled_user(7) == changed


async def test_a_change_over_another_change_is_not_stored(store: Store) -> None:
    await store.create_user(ADA)
    first, second = replace(ADA, etag="e2", protected=True), replace(ADA, etag="e3", state=UserState.SUSPENDED)
    await store.replace_user(first, "e1")
    assert await store.replace_user(second, "e1") == first
    assert await store.settled_user(7) == first


async def test_of_many_changes_of_one_account_one_is_stored(make_store: MakeStore) -> None:
    await make_store(SystemClock()).create_user(ADA)
    changes = [replace(ADA, etag=f"c{number}", profile=Profile(f"{number}")) for number in range(6)]
    stores = [make_store(SystemClock()) for _ in changes]
    stood = await asyncio.gather(*(one.replace_user(change, "e1") for one, change in zip(stores, changes, strict=True)))
    (won,) = set(stood)
    assert won in changes
    assert await stores[0].settled_user(7) == won


async def test_a_change_never_touches_the_time_of_creation(store: Store) -> None:
    await store.create_user(ADA)
    await store.replace_user(replace(ADA, create_time_ms=5, etag="e2"), "e1")
    assert (await store.get_users([7]))[7] == replace(ADA, etag="e2")


async def test_a_change_of_nobody_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.replace_user(replace(ADA, id=8), "e1")
    assert await store.get_users([8]) == {}
    assert await store.settled_user(8) is None


async def test_a_request_id_is_bound_to_its_first_content(store: Store) -> None:
    first = await store.claim_request(1, "r", b"content", 100)
    again = await store.claim_request(1, "r", b"other", 200)
    assert (first.fresh, first.content_hash, first.result_id) == (True, b"content", 100)
    assert (again.fresh, again.content_hash, again.result_id) == (False, b"content", 100)


async def test_request_ids_of_two_callers_are_unrelated(store: Store) -> None:
    assert (await store.claim_request(1, "r", b"a", 100)).fresh
    assert (await store.claim_request(2, "r", b"b", 200)).fresh


async def test_of_many_claims_of_one_request_one_is_fresh(make_store: MakeStore) -> None:
    stores = [make_store(SystemClock()) for _ in range(6)]
    claims = await asyncio.gather(*(one.claim_request(1, "r", b"c", at) for at, one in enumerate(stores, 1)))
    assert sum(claim.fresh for claim in claims) == 1
    assert len({claim.result_id for claim in claims}) == 1
