"""Suspending accounts, and what is left of it when it is lifted."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import InvalidArgument, NotFound
from rookery_server.domain.models import UserState
from rookery_server.services.moderation import Moderation
from tests.unit.services.account_world import AccountWorld


@pytest.fixture
def world() -> AccountWorld:
    return AccountWorld()


async def test_account_A15_a_suspended_account_is_gone_and_comes_back(world: AccountWorld) -> None:
    alice, moderation = world.user("alice"), Moderation(world.one.changes)
    await world.two.accounts.standing([alice])
    suspended = await moderation.suspend(world.admin(), alice)
    assert (suspended.settled, suspended.user.state) == (True, UserState.SUSPENDED)
    with pytest.raises(NotFound):
        await world.two.users.get(world.call(0), alice)
    assert (await world.two.accounts.standing([alice]))[alice].inactive
    again = await moderation.suspend(world.admin(), alice)
    assert again == suspended
    lifted = await moderation.unsuspend(world.admin(), alice)
    assert (lifted.settled, lifted.user.state) == (True, UserState.ACTIVE)
    assert (await moderation.unsuspend(world.admin(), alice)).user == lifted.user


async def test_account_A16_whoever_had_left_is_not_brought_back_by_an_administrator(world: AccountWorld) -> None:
    alice, moderation = world.user("alice"), Moderation(world.one.changes)
    await world.one.users.deactivate(world.call(alice))
    assert (await moderation.suspend(world.admin(), alice)).user.state is UserState.DEACTIVATED_AND_SUSPENDED
    assert (await moderation.unsuspend(world.admin(), alice)).user.state is UserState.DEACTIVATED
    assert (await moderation.unsuspend(world.admin(), alice)).user.state is UserState.DEACTIVATED
    assert (await world.one.users.reactivate(world.call(alice))).user.state is UserState.ACTIVE


async def test_nobody(world: AccountWorld) -> None:
    moderation = Moderation(world.one.changes)
    with pytest.raises(NotFound):
        await moderation.suspend(world.admin(), 12345)
    with pytest.raises(InvalidArgument):
        await moderation.unsuspend(world.admin(), 0)
