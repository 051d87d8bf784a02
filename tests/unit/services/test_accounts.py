"""Standing of accounts: never older than a settled change, cheap within its second, honest when nothing answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rookery_server.domain.errors import AccountInactive, NotFound, StoreUnavailable
from rookery_server.domain.limits import COPY_LIFE_S, FILL_MAX_AGE_S, STANDINGS_KEPT
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.services.accounts import Standing, Standings
from rookery_server.services.calls import Call
from rookery_server.services.profiles_cache import decode, encode
from tests.unit.services.account_world import AccountWorld as World


@pytest.fixture
def world() -> World:
    return World()


ACTIVE, GONE = Standing(), Standing(state=UserState.DEACTIVATED)
COPY_MS = int(COPY_LIFE_S * 1000)


def leave(world: World, user: int) -> None:
    """A change of the row alone, as if its server had died right after."""
    world.store.users[user] = replace(world.store.users[user], state=UserState.DEACTIVATED, etag="left")


@pytest.mark.parametrize("state", UserState)
def test_what_is_cached_is_what_was_read(state: UserState) -> None:
    user = User(7, "ada", Profile("Ada ☂", "bio\n", "", "https://a.example"), 5, "e", True, state)
    assert decode(7, encode(user)) == user


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x02\x00\x00[]", b"\x01\x00\x09" + b"[]", b"\x01\x00\x00nonsense"])
async def test_a_value_this_release_did_not_write_counts_as_missing(world: World, raw: bytes) -> None:
    alice = world.user()
    world.cache.profiles[alice] = (1, raw)
    assert await world.one.accounts.standing([alice]) == {alice: ACTIVE}
    stored = world.cache.profiles[alice][1]
    assert stored == encode(world.store.users[alice])


async def test_nobody_is_absent_and_is_not_remembered(world: World) -> None:
    assert await world.one.accounts.standing([7]) == {}
    assert world.cache.profiles == {}
    world.store.users[7] = User(7, "late", Profile(), 1, "e")
    assert await world.one.accounts.standing([7]) == {7: ACTIVE}


async def test_account_A9_a_fill_is_refused_by_a_stub_set_meanwhile(world: World) -> None:
    alice = world.user()

    async def change() -> None:
        leave(world, alice)
        await world.cache.stub_profile(alice, 5)

    world.cache.before["store_profiles"] = change
    await world.one.accounts.standing([alice])
    assert world.cache.profiles[alice] == (5, None)


async def test_account_A9_a_stale_read_under_an_older_stub_is_refused_too(world: World) -> None:
    alice = world.user()
    await world.cache.stub_profile(alice, 4)

    async def change() -> None:
        leave(world, alice)
        await world.cache.stub_profile(alice, 5)

    world.cache.before["store_profiles"] = change
    await world.one.accounts.standing([alice])
    assert world.cache.profiles[alice] == (5, None)


async def test_account_A9_a_read_that_took_long_fills_nothing(world: World) -> None:
    alice = world.user()
    world.store.before["get_users"] = lambda: world.clock.advance(int(FILL_MAX_AGE_S * 1000) + 1)
    assert await world.one.accounts.standing([alice]) == {alice: ACTIVE}
    assert world.cache.profiles == {}
    await world.one.accounts.standing([alice])
    assert alice in world.cache.profiles


async def test_account_A10_a_copy_lives_a_second(world: World) -> None:
    alice = world.user()
    await world.one.accounts.standing([alice])
    leave(world, alice)
    await world.cache.stub_profile(alice, 5)
    reads = len(world.cache.calls)
    world.clock.advance(COPY_MS - 1)
    assert await world.one.accounts.standing([alice]) == {alice: ACTIVE}
    assert len(world.cache.calls) == reads
    world.clock.advance(1)
    assert await world.one.accounts.standing([alice]) == {alice: GONE}


async def test_account_A10_the_second_begins_before_the_read(world: World) -> None:
    alice = world.user()
    world.store.before["get_users"] = lambda: world.clock.advance(COPY_MS)
    await world.one.accounts.standing([alice])
    leave(world, alice)
    await world.cache.stub_profile(alice, 5)
    assert await world.one.accounts.standing([alice]) == {alice: GONE}


async def test_account_A10_whole_accounts_are_never_own_copies(world: World) -> None:
    alice = world.user()
    await world.one.accounts.users([alice])
    await world.one.accounts.standing([alice])
    world.store.users[alice] = edited = replace(world.store.users[alice], profile=Profile("New"), etag="2")
    await world.cache.stub_profile(alice, 5)
    assert await world.one.accounts.users([alice]) == {alice: edited}


async def test_account_A12_a_read_under_way_is_no_answer_to_later_calls(world: World) -> None:
    alice = world.user()
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reading.set()
        await go_on.wait()

    world.store.after["get_users"] = hold
    early = asyncio.create_task(world.one.accounts.users([alice]))
    await reading.wait()
    leave(world, alice)
    await world.cache.stub_profile(alice, 5)
    late = asyncio.create_task(world.one.accounts.users([alice]))
    await asyncio.sleep(0)
    go_on.set()
    assert (await early)[alice].state is UserState.ACTIVE
    assert (await late)[alice].state is UserState.DEACTIVATED


async def test_account_A12_a_crowd_is_one_read(world: World) -> None:
    alice = world.user()
    await asyncio.gather(*(world.one.accounts.standing([alice]) for _ in range(50)))
    assert world.store.calls.count("get_users") <= 2
    assert world.cache.calls.count("read_profiles") <= 2


async def test_account_A13_the_cache_out_of_reach(world: World) -> None:
    alice = world.user()
    world.cache.down = set(world.cache.nodes)
    assert await world.one.accounts.standing([alice]) == {alice: ACTIVE}
    world.clock.advance(COPY_MS)
    leave(world, alice)
    assert await world.one.accounts.standing([alice]) == {alice: GONE}


async def test_account_A13_the_store_without_quorum(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.one.accounts.standing([alice])
    world.clock.advance(COPY_MS)
    world.store.down = True
    seen = await world.one.accounts.look([alice, bob])
    assert seen == Standings({alice: ACTIVE}, frozenset({bob}))
    assert await world.one.accounts.standing([alice]) == {alice: ACTIVE}
    with pytest.raises(StoreUnavailable):
        await world.one.accounts.standing([alice, bob])
    with pytest.raises(StoreUnavailable):
        await world.one.accounts.users([bob])
    with pytest.raises(StoreUnavailable):
        await world.one.accounts.require_active(world.call(bob))
    assert set(await world.one.accounts.readable_users([alice, bob])) == {alice}


async def test_a_token_has_its_accounts_read_in_the_store(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.one.accounts.users([alice, bob])
    leave(world, alice)  # p: still holds what was
    found = await world.one.accounts.users([alice, bob], bypass=[alice, 99])
    assert found[alice].state is UserState.DEACTIVATED
    assert set(found) == {alice, bob}


async def test_account_A16_the_door_of_every_write(world: World) -> None:
    alice = world.user()
    await world.one.accounts.require_active(world.call(alice))
    leave(world, alice)
    world.clock.advance(COPY_MS)
    await world.cache.stub_profile(alice, 5)
    with pytest.raises(AccountInactive):
        await world.one.accounts.require_active(world.call(alice))
    with pytest.raises(NotFound):
        await world.one.accounts.require_active(world.call(12345))


async def test_account_A15_who_sees_an_inactive_account(world: World) -> None:
    alice, bob = world.user(), world.user()
    leave(world, alice)
    assert await world.one.accounts.require_visible(world.call(alice), alice, bob) == {alice: GONE, bob: ACTIVE}
    assert alice in await world.one.accounts.require_visible(Call(0, 1e12, admin=True), alice)
    with pytest.raises(NotFound):
        await world.one.accounts.require_visible(world.call(bob), bob, alice)
    with pytest.raises(NotFound):
        await world.one.accounts.require_visible(world.call(bob), 12345)


async def test_copies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STANDINGS_KEPT > 10
    monkeypatch.setattr("rookery_server.services.accounts.STANDINGS_KEPT", 10)
    world = World()
    people = [world.user() for _ in range(30)]
    for person in people:
        await world.one.accounts.standing([person])
    world.cache.calls.clear()
    assert len(await world.one.accounts.standing(people[-10:])) == 10
    assert world.cache.calls == []
    assert len(await world.one.accounts.standing(people)) == 30
    assert world.cache.calls == ["read_profiles"]


async def test_one_trip_for_many_and_none_within_the_second(world: World) -> None:
    people = [world.user() for _ in range(20)]
    await world.one.accounts.standing(people)
    world.store.calls.clear()
    world.cache.calls.clear()
    await world.two.accounts.standing(people)
    await world.two.accounts.standing(people)
    assert (world.store.calls, world.cache.calls) == ([], ["read_profiles"])
