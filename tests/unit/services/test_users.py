"""Accounts: names unique for ever, sign-ups completed after a crash, edits that do not overwrite each other."""

from __future__ import annotations

import uuid

import pytest

from rookery_server.domain.errors import (
    InvalidArgument,
    InvalidText,
    NotFound,
    Outcome,
    RequestIdReused,
    StaleEtag,
    StoreUnavailable,
    UsernameTaken,
)
from rookery_server.domain.limits import NAME_CLAIM_LIFE_S
from rookery_server.domain.models import Profile, User
from rookery_server.services.users import ShownUser
from tests.unit.services.world import World

REQUEST = str(uuid.UUID(int=42))
NOBODY = Profile()


async def _sign_up(world: World, name: str, request_id: str = "", profile: Profile = NOBODY) -> User:
    return await world.users.create(world.call(0), name, profile, request_id)


def _crash() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


async def test_an_account_is_found_by_id_and_by_name_in_any_case(world: World) -> None:
    user = await _sign_up(world, "Alice", profile=Profile("Alice", "hi"))
    anyone = world.call(0)
    assert await world.users.get(anyone, user.id) == ShownUser(user)
    assert await world.users.get_by_name(anyone, "aLICE") == ShownUser(user)
    assert user.username == "Alice"
    assert user.create_time_ms == world.clock.now_ms()
    assert await world.users.batch_get(anyone, [5, user.id, 5]) == {5: None, user.id: ShownUser(user)}


async def test_a_name_is_unique_without_regard_to_case(world: World) -> None:
    await _sign_up(world, "alice")
    world.clock.advance(2 * NAME_CLAIM_LIFE_S * 1000)
    with pytest.raises(UsernameTaken):
        await _sign_up(world, "ALICE")
    assert len(world.store.users) == 1


@pytest.mark.parametrize("name", ["", "a" * 16, "al ice", "älice", "admin"])
async def test_a_bad_name_is_refused_before_anything_is_read(world: World, name: str) -> None:
    with pytest.raises(InvalidText):
        await _sign_up(world, name)
    assert world.store.calls == []


async def test_the_same_request_gives_the_same_account(world: World) -> None:
    first = await _sign_up(world, "alice", REQUEST)
    world.serve()
    assert await _sign_up(world, "alice", REQUEST) == first
    with pytest.raises(RequestIdReused):
        await _sign_up(world, "bob", REQUEST)
    assert list(world.store.names) == ["alice"]


async def test_a_sign_up_that_died_half_way_is_completed_by_its_retry(world: World) -> None:
    world.store.before["create_user"] = _crash
    with pytest.raises(StoreUnavailable):
        await _sign_up(world, "alice", REQUEST)
    world.serve()
    world.clock.advance(10_000)
    user = await _sign_up(world, "alice", REQUEST)
    assert world.store.names["alice"].user_id == user.id
    assert world.store.names["alice"].claimed_ms == world.clock.now_ms()  # dated anew: nobody takes it over meanwhile


async def test_a_retry_after_its_request_was_forgotten_finds_its_own_account(world: World) -> None:
    first = await _sign_up(world, "alice", REQUEST)
    world.store.requests.clear()
    assert await _sign_up(world, "alice", REQUEST) == first


async def test_a_claim_without_an_account_is_free_after_an_hour(world: World) -> None:
    world.store.before["create_user"] = _crash
    with pytest.raises(StoreUnavailable):
        await _sign_up(world, "alice", REQUEST)
    world.clock.advance(NAME_CLAIM_LIFE_S * 1000 - 1)
    with pytest.raises(UsernameTaken):
        await _sign_up(world, "alice")
    world.clock.advance(1)
    user = await _sign_up(world, "alice")
    assert (await world.users.get_by_name(world.call(0), "alice")).user == user
    with pytest.raises(UsernameTaken):
        await _sign_up(world, "alice", REQUEST)
    assert len(world.store.users) == 1


async def test_nobody_is_nobody(world: World) -> None:
    with pytest.raises(NotFound):
        await world.users.get(world.call(0), 7)
    with pytest.raises(NotFound):
        await world.users.get_by_name(world.call(0), "nobody_here")
    with pytest.raises(InvalidArgument):
        await world.users.get(world.call(0), 0)
    with pytest.raises(InvalidArgument):
        await world.users.batch_get(world.call(0), [])


async def test_an_edit_replaces_what_its_mask_names(world: World) -> None:
    user = await _sign_up(world, "alice", profile=Profile("Alice", "bio", "here", "https://example.com/"))
    call = world.call(user.id)
    edited = await world.users.update_profile(call, Profile("New", "ignored"), ["display_name"], user.etag)
    assert edited.profile == Profile("New", "bio", "here", "https://example.com/")
    assert edited.etag != user.etag
    cleared = await world.users.update_profile(call, Profile("Only"), [], edited.etag)
    assert cleared.profile == Profile("Only")


async def test_a_stale_edit_learns_the_current_etag(world: World) -> None:
    user = await _sign_up(world, "alice")
    call = world.call(user.id)
    edited = await world.users.update_profile(call, Profile("One"), [], user.etag)
    with pytest.raises(StaleEtag) as stale:
        await world.users.update_profile(call, Profile("Two"), [], user.etag)
    assert stale.value.metadata == {"etag": edited.etag}
    assert (await world.users.get(call, user.id)).user.profile == Profile("One")


async def test_of_two_edits_at_once_one_is_stored(world: World) -> None:
    user = await _sign_up(world, "alice")
    call = world.call(user.id)

    async def other_edit() -> None:
        await world.users.update_profile(call, Profile("Other"), [], user.etag)

    world.store.before["replace_user"] = other_edit
    with pytest.raises(StaleEtag):
        await world.users.update_profile(call, Profile("Mine"), [], user.etag)
    assert (await world.users.get(call, user.id)).user.profile == Profile("Other")


@pytest.mark.parametrize(
    ("profile", "mask", "etag"),
    [
        (Profile("x" * 51), ["display_name"], "1"),
        (Profile(url="ftp://example.com"), [], "1"),
        (Profile(), ["username"], "1"),
        (Profile(), [], ""),
    ],
)
async def test_a_bad_edit_is_refused(world: World, profile: Profile, mask: list[str], etag: str) -> None:
    alice = world.user()
    with pytest.raises(InvalidArgument):
        await world.users.update_profile(world.call(alice), profile, mask, etag)
    assert not {"append", "replace_user"} & set(world.store.calls)
