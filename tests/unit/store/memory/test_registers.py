"""Blocks, mutes, requests and counts under what goes wrong: late, half-seen, unknown, and what they forget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.limits import REMOVED_EDGE_LIFE_S
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute, Profile, User
from rookery_server.store.interface import Count, CountKind
from rookery_server.store.memory import EVERYWHERE, Commit, MemoryStore, MemoryStoreWorld
from tests.unit.store.memory.test_faults import NOW_MS, TWEET, Clock, Planned

ME, YOU = 1, 2


def event(kind: EventKind, version: int) -> Event:
    return Event(TWEET, kind, ME, YOU, version)


async def write_block(store: MemoryStore, on: bool, version: int) -> None:
    await store.write_block(Block(ME, YOU, on, version), event(EventKind.BLOCK, version))


async def write_mute(store: MemoryStore, on: bool, version: int) -> None:
    await store.write_mute(Mute(ME, YOU, on, version), event(EventKind.MUTE, version))


async def write_request(store: MemoryStore, on: bool, version: int) -> None:
    await store.write_follow_request(FollowRequest(YOU, ME, on, version))


async def cut(store: MemoryStore, on: bool, version: int) -> None:
    """An edge is cut and never cut back: the way on is that of any follow."""
    if on:
        await store.write_edge(Edge(ME, YOU, on, version), event(EventKind.FOLLOW, version))
    else:
        await store.cut_edge(Edge(ME, YOU, on, version))


Write = Callable[[MemoryStore, bool, int], Awaitable[None]]
Read = Callable[[MemoryStore], Awaitable[Block | Mute | FollowRequest | Edge | None]]
registers = pytest.mark.parametrize(
    ("write", "row", "statements"),
    [
        (write_block, lambda store: store.block(ME, YOU), 3),
        (write_mute, lambda store: store.mute(ME, YOU), 2),
        (write_request, lambda store: store.follow_request(YOU, ME), 1),
        (cut, lambda store: store.edge(ME, YOU), 2),
    ],
    ids=["block", "mute", "request", "cut"],
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hooks() -> Planned:
    return Planned()


@pytest.fixture
def store(clock: Clock, hooks: Planned) -> MemoryStore:
    return MemoryStoreWorld(clock).client(hooks=hooks)


@registers
async def test_what_comes_late_comes_and_loses_to_what_was_written_after(
    store: MemoryStore, hooks: Planned, write: Write, row: Read, statements: int
) -> None:
    for later, stands in ((None, False), (7, True)):
        hooks.waiting.clear()
        hooks.next = Commit(((),) * statements, acked=False)
        with pytest.raises(StoreUnavailable):
            await write(store, False, 5)
        if later is not None:
            await write(store, True, later)
        for arrive in hooks.waiting:
            arrive()
        found = await row(store)
        assert found is not None
        assert (found.on, found.version_us) == (stands, later or 5)


@registers
async def test_what_one_replica_holds_is_seen_by_chance_until_it_was_read(
    store: MemoryStore, hooks: Planned, write: Write, row: Read, statements: int
) -> None:
    hooks.next = Commit(((2,),) * statements, acked=False)
    with pytest.raises(StoreUnavailable):
        await write(store, False, 5)
    assert await row(store) is None
    hooks.read = (1, 2)
    assert await row(store) is not None
    hooks.read = (0, 1)
    assert await row(store) is not None


@registers
async def test_what_was_lifted_is_forgotten_after_eight_days_and_still_wins(
    store: MemoryStore, clock: Clock, write: Write, row: Read, statements: int
) -> None:
    await write(store, False, 9)
    clock.ms += REMOVED_EDGE_LIFE_S * 1000 - 1
    assert await row(store) is not None
    clock.ms += 1
    assert await row(store) is None
    await write(store, True, 8)
    assert await row(store) is None, "a tombstone is in the way of what is older"
    await write(store, True, 10)
    assert await row(store) is not None


@registers
async def test_what_stands_is_kept_for_ever(
    store: MemoryStore, clock: Clock, write: Write, row: Read, statements: int
) -> None:
    await write(store, True, 9)
    clock.ms += 100 * REMOVED_EDGE_LIFE_S * 1000
    assert await row(store) is not None


async def test_a_block_may_show_in_the_truth_before_its_mirror(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit((EVERYWHERE, (), EVERYWHERE), acked=False)
    with pytest.raises(StoreUnavailable):
        await write_block(store, True, 5)
    assert await store.block(ME, YOU) is not None
    assert await store.blockers_among(YOU, [ME]) == frozenset()
    await store.repair_block(Block(ME, YOU, True, 5))
    assert await store.blockers_among(YOU, [ME]) == {ME}


async def test_a_lifted_block_leaves_the_mirror_with_its_life(store: MemoryStore, clock: Clock) -> None:
    await store.repair_block(Block(ME, YOU, False, 9))
    assert len(await store.blocked_by(YOU, 10)) == 1
    clock.ms += REMOVED_EDGE_LIFE_S * 1000
    assert await store.blocked_by(YOU, 10) == ()


async def test_a_count_that_comes_late_loses_to_a_later_one(store: MemoryStore, hooks: Planned) -> None:
    earlier, later = (Count(ME, CountKind.FOLLOWERS, 0, value, at) for at, value in ((5, 9), (6, 4)))
    hooks.next = Commit(((),), acked=False)
    with pytest.raises(StoreUnavailable):
        await store.write_count(earlier)
    await store.write_count(later)
    for arrive in hooks.waiting:
        arrive()
    assert await store.counts([ME]) == {ME: (later,)}


async def test_rows_are_counted_as_a_quorum_shows_them(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((2,),) * 3, acked=False)
    with pytest.raises(StoreUnavailable):
        await store.write_edge(Edge(ME, YOU, True, 5), event(EventKind.FOLLOW, 5))
    assert await store.recount(YOU, CountKind.FOLLOWERS, 0) == 0
    hooks.read = (1, 2)
    assert await store.recount(YOU, CountKind.FOLLOWERS, 0) == 1
    hooks.read = (0, 1)
    assert await store.recount(YOU, CountKind.FOLLOWERS, 0) == 1, "what was counted stays in every later count"


async def test_an_event_of_its_own_may_come_late(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((),), acked=False)
    with pytest.raises(StoreUnavailable):
        await store.append(event(EventKind.ACCOUNT, 5))

    async def found() -> int:
        return sum([len(await store.read(shard, NOW_MS, NOW_MS + 1)) for shard in range(store.shards)])

    assert await found() == 0
    for arrive in hooks.waiting:
        arrive()
    assert await found() == 1


async def test_a_change_whose_answer_is_lost_is_done_and_seen_when_settled(store: MemoryStore, hooks: Planned) -> None:
    user = User(ME, "me", Profile(), NOW_MS, "e1")
    await store.create_user(user)
    changed, tier = User(ME, "me", Profile(), NOW_MS, "e2", protected=True), AuthorTier(ME, True, NOW_MS)
    hooks.lose_answer = True
    with pytest.raises(StoreUnavailable):
        await store.replace_user(changed, "e1")
    with pytest.raises(StoreUnavailable):
        await store.set_tier(None, tier)
    hooks.lose_answer = False
    assert await store.settled_user(ME) == changed
    assert await store.tiers() == (tier,)


def test_a_tweet_is_counted_in_the_part_of_its_time() -> None:
    store = MemoryStoreWorld(Clock()).client()
    month_ms = 25 * 86_400_000
    parts = [store.count_parts(CountKind.TWEETS, ids.compose(NOW_MS - age * month_ms, 1, 0)) for age in range(3)]
    assert len({part for (part,) in parts}) == 3
