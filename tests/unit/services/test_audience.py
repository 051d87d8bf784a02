"""Tiers as operators see them, and an account counted anew."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument, NotFound
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier, Thresholds, Tier
from rookery_server.domain.models import Edge, Profile, User
from rookery_server.services.audience import Audience, TierStanding
from rookery_server.services.user_counts import Counts
from rookery_server.services.users import KnownUsers
from rookery_server.store.interface import Count, CountKind, Store, TweetRow
from rookery_server.store.memory.world import MemoryStoreWorld
from tests.unit.services.clocks import START_MS, Mint, TestClock

ALICE = ids.compose(START_MS, 3, 0)


class World:
    def __init__(self) -> None:
        self.clock = TestClock()
        self.mint = Mint(self.clock)
        self.store: Store = MemoryStoreWorld(self.clock, shards=4).client()
        thresholds = Thresholds(broad_from=10, pull_from=100)
        self.audience = Audience(self.store, self.clock, KnownUsers(self.store), thresholds)

    async def follow(self, follower: int, followee: int, on: bool = True) -> None:
        event = self.mint()
        edge = Edge(follower, followee, on, ids.write_timestamp_us(event))
        await self.store.write_edge(edge, Event(event, EventKind.FOLLOW, follower, followee, edge.version_us))

    async def post(self, author: int, at_ms: int, body: bytes = b"x") -> None:
        tweet = ids.compose(at_ms, 5, 0)
        row = TweetRow(tweet, author, body, ids.write_timestamp_us(tweet))
        await self.store.post(row, Event(self.mint(), EventKind.POST, author, tweet, row.version_us))

    async def counted(self, user: int, followers: int) -> None:
        await self.store.write_count(Count(user, CountKind.FOLLOWERS, 0, followers, 1))


@pytest.fixture
async def world() -> World:
    world = World()
    await world.store.create_user(User(ALICE, "alice", Profile(), START_MS, "1"))
    return world


async def test_the_tiers_of_given_authors_in_their_order(world: World) -> None:
    now = world.clock.now_ms()
    await world.counted(1, 5)
    await world.counted(2, 50)
    await world.counted(3, 500)
    await world.counted(4, 500)
    await world.store.set_tier(None, AuthorTier(4, True, now + 1_000))
    expected = {
        4: TierStanding(4, Tier.PULL, 500, merged=True, delivered=True, switch_ms=now + 1_000),
        3: TierStanding(3, Tier.BROAD, 500, merged=False, delivered=True),  # not announced yet
        2: TierStanding(2, Tier.BROAD, 50, merged=False, delivered=True),
        1: TierStanding(1, Tier.PUSH, 5, merged=False, delivered=True),
        9: TierStanding(9, Tier.PUSH, None, merged=False, delivered=True),
    }
    assert await world.audience.tiers([4, 3, 2, 1, 9, 4]) == tuple(expected.values())
    world.clock.advance(1_000)
    assert await world.audience.tiers([4]) == (
        TierStanding(4, Tier.PULL, 500, merged=True, delivered=False, switch_ms=now + 1_000),
    )


async def test_without_names_everybody_who_is_or_was_merged(world: World) -> None:
    now = world.clock.now_ms()
    assert await world.audience.tiers() == ()
    row = await world.store.set_tier(None, AuthorTier(8, True, now))
    await world.store.set_tier(row, AuthorTier(8, False, now + 60_000))
    await world.store.set_tier(None, AuthorTier(7, True, now))
    seven, eight = await world.audience.tiers()
    assert (seven.author_id, seven.tier, seven.followers) == (7, Tier.PULL, None)
    assert (eight.tier, eight.merged, eight.delivered) == (Tier.PUSH, True, True)
    world.clock.advance(60_000)
    assert not (await world.audience.tiers([8]))[0].merged
    with pytest.raises(InvalidArgument):
        await world.audience.tiers(range(1, 102))


async def test_an_account_never_counted_is_counted_wholly(world: World) -> None:
    for follower in range(1, 8):
        await world.follow(follower, ALICE)
    await world.follow(3, ALICE, on=False)
    await world.follow(ALICE, 2)
    for day in range(0, 100, 10):  # several buckets
        await world.post(ALICE, START_MS - day * 86_400_000)
    assert await world.audience.recount(ALICE) == Counts(followers=6, following=1, tweets=10)


async def test_what_was_counted_wrong_is_counted_right(world: World) -> None:
    await world.counted(ALICE, 77)
    await world.store.write_count(Count(ALICE, CountKind.TWEETS, 5, 3, 1))  # a part without rows
    assert await world.audience.recount(ALICE) == Counts(followers=0, following=0, tweets=0)


async def test_nobody_is_not_counted(world: World) -> None:
    with pytest.raises(NotFound):
        await world.audience.recount(12345)
    with pytest.raises(InvalidArgument):
        await world.audience.recount(-1)
