"""Changes of accounts: event, compare-and-set, stub, wait, ack; and whatever ends half way."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace

import pytest

from rookery_server.domain import events, ids
from rookery_server.domain.errors import (
    Aborted,
    AccountInactive,
    InvalidText,
    NotFound,
    Outcome,
    RateLimited,
    StaleEtag,
    StoreUnavailable,
    UsernameTaken,
)
from rookery_server.domain.events import EventKind
from rookery_server.domain.limits import (
    ACCOUNT_BEGIN_MS,
    ACCOUNT_CHANGES_PER_DAY,
    ACCOUNT_TRIES,
    ATTEMPT_LIFE_MS,
    COPY_WAIT_S,
    RENAMES_PER_WEEK,
)
from rookery_server.domain.models import Profile, UserState
from rookery_server.services.accounts import Standing
from rookery_server.services.user_counts import Counts
from rookery_server.services.users import ShownUser
from rookery_server.store.interface import Count, CountKind
from tests.unit.services.account_world import AccountWorld, Server


@pytest.fixture
def world() -> AccountWorld:
    return AccountWorld()


class Crash(Exception):
    """The process ends here."""


def crash() -> None:
    raise Crash


def unanswered() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


def state(world: AccountWorld, user: int) -> Standing:
    row = world.store.users[user]
    return Standing(row.protected, row.state)


async def seen(server: Server, user: int) -> Standing:
    return (await server.accounts.standing([user]))[user]


# --- the order -----------------------------------------------------------------------------------------------------


async def test_account_A1_the_order(world: AccountWorld) -> None:
    alice, order = world.user(), list[str]()
    for hooks, name in (
        (world.store.before, "settled_user"),
        (world.store.after, "append"),
        (world.store.before, "replace_user"),
        (world.store.after, "replace_user"),
        (world.cache.before, "stub_profile"),
    ):
        hooks[name] = functools.partial(order.append, name)
    began_ms = world.clock.now_ms()
    changed = await world.one.users.set_protected(world.call(alice), True)
    assert order == ["settled_user", "append", "replace_user", "replace_user", "stub_profile"]
    assert changed.settled
    assert changed.user == world.store.users[alice]
    assert changed.user.protected
    assert changed.user.etag != "1"
    assert world.clock.now_ms() - began_ms == COPY_WAIT_S * 1000


async def test_account_A1_the_event_names_the_account_and_its_own_time(world: AccountWorld) -> None:
    alice = world.user()
    await world.one.users.deactivate(world.call(alice))
    (event,) = world.store.log.values()
    assert (event.kind, event.subject, event.target) == (EventKind.ACCOUNT, alice, alice)
    assert event.version == ids.write_timestamp_us(event.id)
    assert world.cache.rung == [(events.shard_of(alice, world.store.shards), events.encode(event))]


CRASHES: dict[str, Callable[[AccountWorld], None]] = {
    "before the read": lambda world: world.store.before.update(settled_user=crash),
    "before the event": lambda world: world.store.before.update(append=crash),
    "after the event": lambda world: world.store.after.update(append=crash),
    "before the compare-and-set": lambda world: world.store.before.update(replace_user=crash),
    "after the compare-and-set": lambda world: world.store.after.update(replace_user=crash),
    "before the stub": lambda world: world.cache.before.update(stub_profile=crash),
}


@pytest.mark.parametrize("at", CRASHES)
async def test_account_A2_no_old_copy_outlives_the_event(world: AccountWorld, at: str) -> None:
    alice = world.user()
    await seen(world.two, alice)  # p: holds the old state
    CRASHES[at](world)
    with pytest.raises(Crash):
        await world.one.users.set_protected(world.call(alice), True)
    await world.work()
    world.clock.advance(1_000)
    for server in (world.two, world.server()):
        assert await seen(server, alice) == state(world, alice)
    # Whatever was left, saying it again completes it.
    changed = await world.two.users.set_protected(world.call(alice), True)
    assert changed.settled
    assert await seen(world.server(), alice) == Standing(protected=True) == state(world, alice)


async def test_account_A2_what_changed_has_an_event_whatever_ended(world: AccountWorld) -> None:
    alice = world.user()
    world.store.after["replace_user"] = crash
    with pytest.raises(Crash):
        await world.one.users.set_protected(world.call(alice), True)
    assert world.store.users[alice].protected
    assert [event.subject for event in world.store.log.values()] == [alice]


async def test_account_A2_a_change_that_nobody_waits_for_ends_all_the_same(world: AccountWorld) -> None:
    alice, go_on, begun = world.user(), asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.store.before["replace_user"] = hold
    calling = asyncio.create_task(world.one.users.deactivate(world.call(alice)))
    await begun.wait()
    calling.cancel()
    go_on.set()
    await world.one.writes.drain()
    assert world.store.users[alice].state is UserState.DEACTIVATED
    assert world.cache.profiles[alice][1] is None


async def test_account_A3_an_event_that_was_slow_to_write_is_not_begun_under(world: AccountWorld) -> None:
    alice = world.user()
    world.store.after["append"] = lambda: world.clock.advance(ACCOUNT_BEGIN_MS + 1)
    await world.one.users.set_protected(world.call(alice), True)
    assert len(world.store.log) == 2
    began = ids.time_ms(max(world.store.log))
    assert world.clock.now_ms() - COPY_WAIT_S * 1000 - began <= ACCOUNT_BEGIN_MS


async def test_account_A3_a_repeated_event_is_as_old_as_its_own_id(world: AccountWorld) -> None:
    """The first attempt ended unknown, late; the second is under a new id."""
    alice, tries = world.user(), 0

    def lost() -> None:
        nonlocal tries
        tries += 1
        world.clock.advance(ACCOUNT_BEGIN_MS + 1)
        raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    world.store.after["append"] = lost
    await world.one.users.set_protected(world.call(alice, left_s=10), True)
    assert (tries, len(world.store.log)) == (1, 2)


async def test_account_A3_always_slow_changes_nothing(world: AccountWorld) -> None:
    alice, tries = world.user(), 0

    def slow() -> None:
        nonlocal tries
        tries += 1
        world.clock.advance(ACCOUNT_BEGIN_MS + 1)
        world.store.after["append"] = slow

    world.store.after["append"] = slow
    with pytest.raises(StoreUnavailable) as refused:
        await world.one.users.set_protected(world.call(alice), True)
    assert (refused.value.outcome, tries) == (Outcome.NONE, ACCOUNT_TRIES)
    assert not world.store.users[alice].protected


async def test_account_A3_a_compare_and_set_that_took_too_long_is_announced_again(world: AccountWorld) -> None:
    alice = world.user()
    world.store.before["replace_user"] = lambda: world.clock.advance(ATTEMPT_LIFE_MS + 1)
    done_ms = world.clock.now_ms() + ATTEMPT_LIFE_MS + 1
    await world.one.users.set_protected(world.call(alice, left_s=10), True)
    first, second = sorted(world.store.log)
    assert ids.time_ms(first) < done_ms <= ids.time_ms(second)


async def test_account_A3_also_where_the_wall_clock_was_set_back_meanwhile(
    world: AccountWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, now_ms = world.user(), world.clock.now_ms

    def slow_and_set_back() -> None:
        world.clock.advance(ATTEMPT_LIFE_MS + 1)
        monkeypatch.setattr(world.clock, "now_ms", lambda: now_ms() - ATTEMPT_LIFE_MS)

    world.store.before["replace_user"] = slow_and_set_back
    await world.one.users.set_protected(world.call(alice, left_s=10), True)
    assert len(world.store.log) == 2


async def test_account_A3_a_second_event_that_cannot_be_written_is_unknown(world: AccountWorld) -> None:
    alice = world.user()

    def late() -> None:
        world.clock.advance(ATTEMPT_LIFE_MS + 1)
        world.store.down = True

    world.store.after["replace_user"] = late
    with pytest.raises(StoreUnavailable) as lost:
        await world.one.users.set_protected(world.call(alice, left_s=10), True)
    assert lost.value.outcome is Outcome.UNKNOWN


async def test_account_A6_saying_it_twice_writes_nothing_and_proves_it_again(world: AccountWorld) -> None:
    alice = world.user()
    first = await world.one.users.set_protected(world.call(alice), True)
    before, stub = dict(world.store.log), world.cache.profiles[alice]
    again = await world.two.users.set_protected(world.call(alice), True)
    assert again == first
    assert again.settled
    assert world.store.log == before
    assert world.cache.profiles[alice] != stub
    world.cache.down = set(world.cache.nodes)
    assert not (await world.two.users.set_protected(world.call(alice), True)).settled


async def test_account_A7_two_changes_at_once_both_happen(world: AccountWorld) -> None:
    alice = world.user()

    async def other() -> None:
        await world.two.users.update_profile(world.call(alice), Profile("Other"), [], "1")

    world.store.before["replace_user"] = other
    await world.one.users.set_protected(world.call(alice), True)
    row = world.store.users[alice]
    assert (row.protected, row.profile) == (True, Profile("Other"))
    assert len(world.store.log) == 3  # one of the three announced nothing: its compare-and-set failed


async def test_account_A7_a_switch_and_a_name_at_once(world: AccountWorld) -> None:
    alice = world.user()
    await asyncio.gather(
        world.one.users.set_protected(world.call(alice), True), world.two.users.rename(world.call(alice), "alicia")
    )
    assert (world.store.users[alice].protected, world.store.users[alice].username) == (True, "alicia")
    assert await world.server().accounts.users([alice]) == {alice: world.store.users[alice]}


async def test_account_A7_a_fight_is_aborted(world: AccountWorld) -> None:
    alice, turns = world.user(), 0

    def other() -> None:
        nonlocal turns
        turns += 1
        world.store.users[alice] = replace(world.store.users[alice], etag=f"other {turns}")
        world.store.before["replace_user"] = other

    world.store.before["replace_user"] = other
    with pytest.raises(Aborted):
        await world.one.users.set_protected(world.call(alice), True)
    assert turns == ACCOUNT_TRIES


async def test_account_A7_an_edit_learns_the_etag_that_stands(world: AccountWorld) -> None:
    alice = world.user()

    async def other() -> None:
        await world.two.users.set_protected(world.call(alice), True)

    world.store.before["replace_user"] = other
    with pytest.raises(StaleEtag) as stale:
        await world.one.users.update_profile(world.call(alice), Profile("Mine"), [], "1")
    assert stale.value.metadata == {"etag": world.store.users[alice].etag}
    assert world.store.users[alice].profile == Profile()


async def test_account_A8_unknown_is_said_and_a_repeat_settles_it(world: AccountWorld) -> None:
    alice = world.user()
    await seen(world.two, alice)
    world.store.after["replace_user"] = unanswered
    with pytest.raises(StoreUnavailable) as lost:
        await world.one.users.deactivate(world.call(alice))
    assert lost.value.outcome is Outcome.UNKNOWN
    assert len(world.store.log) == 1
    assert (await world.one.users.deactivate(world.call(alice))).settled
    assert await seen(world.two, alice) == Standing(state=UserState.DEACTIVATED)


async def test_account_A8_an_unknown_event_is_no_unknown_change(world: AccountWorld) -> None:
    alice = world.user()
    world.store.before["append"] = unanswered
    with pytest.raises(StoreUnavailable) as lost:
        await world.one.users.deactivate(world.call(alice, left_s=0.0))
    assert lost.value.outcome is Outcome.NONE
    assert world.store.users[alice].state is UserState.ACTIVE


# --- settled -------------------------------------------------------------------------------------------------------


async def test_account_A11_the_wait_outlives_every_copy(world: AccountWorld) -> None:
    alice = world.user()

    async def look() -> None:  # the last moment at which anybody can read the old state
        assert await seen(world.two, alice) == Standing()

    world.cache.before["stub_profile"] = look
    changed = await world.one.users.set_protected(world.call(alice), True)
    assert changed.settled
    assert await seen(world.two, alice) == Standing(protected=True)
    assert await seen(world.one, alice) == Standing(protected=True)


async def test_account_A14_without_time_for_the_wait_it_is_not_settled(world: AccountWorld) -> None:
    alice = world.user()
    began = world.clock.monotonic()
    changed = await world.one.users.set_protected(world.call(alice, left_s=1.0), True)
    assert not changed.settled
    assert changed.user.protected
    assert world.clock.monotonic() == began


async def test_account_A14_without_proof_it_is_not_settled_and_the_event_does_the_rest(world: AccountWorld) -> None:
    alice = world.user()
    await seen(world.two, alice)
    world.cache.down = {world.cache.node_of(alice)}
    assert not (await world.one.users.set_protected(world.call(alice), True)).settled
    world.cache.down = set()
    world.clock.advance(1_000)
    assert await seen(world.two, alice) == Standing()  # p: was out of reach and still says so
    await world.work()
    world.clock.advance(1_000)
    assert await seen(world.two, alice) == Standing(protected=True)


async def test_account_A10_edits_and_names_need_no_wait(world: AccountWorld) -> None:
    alice = world.user("alice")
    await world.two.users.of_page(world.call(0), [alice])
    began = world.clock.monotonic()
    await world.one.users.update_profile(world.call(alice), Profile("New"), [], "1")
    assert (await world.one.users.rename(world.call(alice), "alicia")).settled
    assert world.clock.monotonic() == began
    (shown,) = await world.two.users.of_page(world.call(0), [alice])
    assert (shown.user.username, shown.user.profile) == ("alicia", Profile("New"))


# --- hidden --------------------------------------------------------------------------------------------------------


async def test_account_A15_gone_for_all_but_oneself_and_administrators(world: AccountWorld) -> None:
    alice, bob = world.user("alice"), world.user()
    users = world.two.users
    assert (await users.get_by_name(world.call(bob), "alice")).user.id == alice
    await world.one.users.deactivate(world.call(alice))
    for caller in (bob, 0):
        with pytest.raises(NotFound):
            await users.get(world.call(caller), alice)
        with pytest.raises(NotFound):
            await users.get_by_name(world.call(caller), "alice")
        assert (await users.batch_get(world.call(caller), [alice, bob]))[alice] is None
        assert [shown.user.id for shown in await users.of_page(world.call(caller), [alice, bob])] == [bob]
    for call in (world.call(alice), world.admin()):
        shown = await users.get(call, alice)
        assert (shown.user.state, shown.private) == (UserState.DEACTIVATED, True)
        assert await users.batch_get(call, [alice]) == {alice: shown}
    assert not (await users.get(world.call(bob), bob)).user.protected


async def test_account_A15_back_again_everything_is_as_it_was(world: AccountWorld) -> None:
    alice = world.user("alice")
    before = world.store.users[alice]
    await world.one.users.deactivate(world.call(alice))
    changed = await world.two.users.reactivate(world.call(alice))
    assert changed.settled
    assert replace(changed.user, etag=before.etag) == before
    assert (await world.one.users.get(world.call(0), alice)).user == changed.user


async def test_account_A16_the_inactive_change_nothing_but_come_back(world: AccountWorld) -> None:
    alice = world.user("alice")
    await world.one.users.deactivate(world.call(alice))
    etag, call = world.store.users[alice].etag, world.call(alice)
    for write in (
        world.one.users.set_protected(call, True),
        world.one.users.rename(call, "other"),
        world.one.users.update_profile(call, Profile("x"), [], etag),
    ):
        with pytest.raises(AccountInactive):
            await write
    assert "other" not in world.store.names
    assert world.store.users[alice].etag == etag
    assert (await world.one.users.deactivate(world.call(alice))).settled
    assert (await world.one.users.reactivate(world.call(alice))).settled
    assert (await world.one.users.reactivate(world.call(alice))).settled


async def test_account_A16_the_state_is_asked_again_of_the_row(world: AccountWorld) -> None:
    alice = world.user("alice")

    def suspended() -> None:
        world.store.users[alice] = replace(world.store.users[alice], state=UserState.SUSPENDED, etag="s")

    for write in (
        lambda: world.one.users.set_protected(world.call(alice), True),
        lambda: world.one.users.rename(world.call(alice), "other"),
        lambda: world.one.users.update_profile(world.call(alice), Profile("x"), [], "1"),
    ):
        world.store.users[alice] = replace(world.store.users[alice], state=UserState.ACTIVE, etag="1")
        await world.cache.stub_profile(alice, world.mint())
        world.clock.advance(1_000)
        world.store.before["replace_user"] = suspended
        with pytest.raises(AccountInactive):
            await write()
    assert not world.store.users[alice].protected


@pytest.mark.parametrize("how", [UserState.SUSPENDED, UserState.DEACTIVATED_AND_SUSPENDED])
async def test_account_A16_the_suspended_do_not_come_back_by_themselves(world: AccountWorld, how: UserState) -> None:
    alice = world.user()
    world.store.users[alice] = replace(world.store.users[alice], state=how)
    for write in (world.one.users.reactivate, world.one.users.deactivate):
        with pytest.raises(AccountInactive):
            await write(world.call(alice))
    assert world.store.users[alice].state is how


async def test_nobody_changes_an_account_that_is_not(world: AccountWorld) -> None:
    for write in (world.one.users.reactivate, world.one.users.deactivate):
        with pytest.raises(NotFound):
            await write(world.call(12345))
    with pytest.raises(NotFound):
        await world.one.users.set_protected(world.call(12345), True)


# --- names ---------------------------------------------------------------------------------------------------------


async def test_account_A17_a_new_name_and_the_old_one_leads_nowhere(world: AccountWorld) -> None:
    alice = (await world.one.users.create(world.call(0), "Alice", Profile())).id
    changed = await world.one.users.rename(world.call(alice), "Alicia")
    assert changed.user.username == "Alicia"
    assert (await world.two.users.get_by_name(world.call(0), "aLICIA")).user.id == alice
    with pytest.raises(NotFound):
        await world.two.users.get_by_name(world.call(0), "alice")


async def test_account_A17_the_old_name_stays_ones_own(world: AccountWorld) -> None:
    alice = (await world.one.users.create(world.call(0), "Alice", Profile())).id
    bob = (await world.one.users.create(world.call(0), "Bob", Profile())).id
    await world.one.users.rename(world.call(alice), "Alicia")
    world.clock.advance(10**9)
    for name in ("alice", "ALICIA"):
        with pytest.raises(UsernameTaken):
            await world.one.users.rename(world.call(bob), name)
        with pytest.raises(UsernameTaken):
            await world.one.users.create(world.call(0), name, Profile())
    assert (await world.one.users.rename(world.call(alice), "ALICE")).user.username == "ALICE"
    assert (await world.two.users.get_by_name(world.call(0), "alice")).user.id == alice
    with pytest.raises(NotFound):
        await world.two.users.get_by_name(world.call(0), "alicia")


@pytest.mark.parametrize("at", ["after the claim", *CRASHES])
async def test_account_A17_a_rename_that_died_half_way_is_finished_by_saying_it_again(
    world: AccountWorld, at: str
) -> None:
    alice = (await world.one.users.create(world.call(0), "Alice", Profile())).id
    bob = (await world.one.users.create(world.call(0), "Bob", Profile())).id
    if at == "after the claim":
        world.store.before["settled_user"] = crash
    else:
        CRASHES[at](world)
    with pytest.raises(Crash):
        await world.one.users.rename(world.call(alice), "Alicia")
    with pytest.raises(UsernameTaken):  # claimed, whatever the row says
        await world.two.users.rename(world.call(bob), "alicia")
    assert (await world.two.users.rename(world.call(alice), "Alicia")).settled
    assert (await world.two.users.get_by_name(world.call(0), "alicia")).user.id == alice
    before = dict(world.store.log)
    assert (await world.one.users.rename(world.call(alice), "Alicia")).settled
    assert world.store.log == before


async def test_account_A17_two_who_want_one_name(world: AccountWorld) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    first, second = await asyncio.gather(
        world.one.users.rename(world.call(alice), "Eve"),
        world.two.users.rename(world.call(bob), "eve"),
        return_exceptions=True,
    )
    won = [answer for answer in (first, second) if not isinstance(answer, BaseException)]
    lost = [answer for answer in (first, second) if isinstance(answer, BaseException)]
    assert len(won) == 1
    assert isinstance(lost[0], UsernameTaken)
    assert (await world.one.users.get_by_name(world.call(0), "eve")).user == won[0].user


async def test_account_A17_only_the_spelling(world: AccountWorld) -> None:
    alice = (await world.one.users.create(world.call(0), "alice", Profile())).id
    for _ in range(RENAMES_PER_WEEK + 1):  # costs no name, so it is not counted
        assert (await world.one.users.rename(world.call(alice, bulk=False), "AliCe")).user.username == "AliCe"
    with pytest.raises(InvalidText):
        await world.one.users.rename(world.call(alice), "admin")


async def test_a_sign_up_under_way_keeps_its_name(world: AccountWorld) -> None:
    bob = world.user("bob")
    world.store.before["create_user"] = crash
    with pytest.raises(Crash):
        await world.one.users.create(world.call(0), "alice", Profile())
    with pytest.raises(UsernameTaken):
        await world.one.users.rename(world.call(bob), "alice")
    world.clock.advance(3600 * 1000)
    assert (await world.one.users.rename(world.call(bob), "alice")).user.username == "alice"
    with pytest.raises(UsernameTaken):
        await world.one.users.create(world.call(0), "alice", Profile())


async def test_account_A18_protected_hides_no_profile(world: AccountWorld) -> None:
    alice = world.user("alice")
    await world.one.users.set_protected(world.call(alice), True)
    shown = await world.two.users.get(world.call(0), alice)
    assert (shown.user.protected, shown.private) == (True, False)
    assert not (await world.one.users.set_protected(world.call(alice), False)).user.protected


# --- quotas and counts ---------------------------------------------------------------------------------------------


async def test_names_and_changes_are_counted_apart(world: AccountWorld) -> None:
    alice = world.user("alice")
    for at in range(RENAMES_PER_WEEK):
        await world.one.users.rename(world.call(alice, bulk=False), f"alice_{at}")
    with pytest.raises(RateLimited):
        await world.one.users.rename(world.call(alice, bulk=False), "one_more")
    assert "one_more" not in world.store.names
    for at in range(ACCOUNT_CHANGES_PER_DAY):
        await world.one.users.set_protected(world.call(alice, bulk=False, left_s=0.5), bool(at % 2))
    with pytest.raises(RateLimited):
        await world.one.users.deactivate(world.call(alice, bulk=False))


async def test_counts_are_the_sums_of_their_parts(world: AccountWorld) -> None:
    alice, bob = world.user(), world.user()
    world.store.counted[alice] = (
        Count(alice, CountKind.FOLLOWERS, 0, 5, 1),
        Count(alice, CountKind.FOLLOWERS, 3, 4, 1),
        Count(alice, CountKind.TWEETS, 70, 2, 1),
        Count(alice, CountKind.TWEETS, 71, 0, 1),
        Count(alice, CountKind.FOLLOWING, -1, 0, 1),  # a claim, no count
    )
    shown = await world.one.users.batch_get(world.call(0), [alice, bob])
    assert [one and one.counts for one in shown.values()] == [Counts(followers=9, following=None, tweets=2), None]
    assert (await world.one.users.get(world.call(0), alice)).counts == Counts(9, None, 2)
    assert [user.counts for user in await world.one.users.of_page(world.call(0), [alice])] == [None]


async def test_numbers_are_no_reason_to_refuse_a_page(world: AccountWorld) -> None:
    alice = world.user()
    await world.one.users.batch_get(world.call(0), [alice])
    world.store.down = True
    shown = await world.one.users.batch_get(world.call(0), [alice])
    assert shown == {alice: ShownUser(world.store.users[alice])}


async def test_a_page_has_its_accounts_in_order_once_each_however_many(world: AccountWorld) -> None:
    people = [world.user() for _ in range(150)]
    shown = await world.one.users.of_page(world.call(0), [*people, 12345, *people])
    assert [one.user.id for one in shown] == people
