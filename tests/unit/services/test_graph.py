"""Edges: the rules of docs/protocols/edge.md, caps and lists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import (
    FollowLimitReached,
    IdsRefused,
    InvalidArgument,
    NotFound,
    Outcome,
    RateLimited,
    StoreUnavailable,
)
from rookery_server.domain.events import EventKind, shard_of
from rookery_server.domain.limits import (
    CLOCK_BOUND_MS,
    EDGE_CERTAIN_AFTER_S,
    FOLLOWING_BASE,
    FOLLOWING_MAX,
    FOLLOWING_PER_FOLLOWER,
    FOLLOWS_PER_DAY,
    LIST_PAGE_MAX,
)
from rookery_server.domain.models import Edge
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.graph import Relationship
from tests.unit.services.clocks import Mint
from tests.unit.services.world import World


def _unknown() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


async def test_edge_E1_the_version_is_later_than_the_one_read_whatever_the_clock(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    ahead = ids.write_timestamp_us(world.mint()) + 3_600_000_000  # written by a clock an hour ahead
    world.store.edges_of[alice][bob] = Edge(alice, bob, True, ahead)
    await world.unfollow(alice, bob)
    assert world.store.edges_of[alice][bob] == Edge(alice, bob, False, ahead + 1)
    await world.follow(alice, bob)
    assert world.store.edges_of[alice][bob] == Edge(alice, bob, True, ahead + 2)


async def test_edge_E2_both_mirrors_and_the_event_agree(world: World) -> None:
    alice, bob = world.user(), world.user()
    changed = await world.follow(alice, bob)
    edge = world.store.edges_of[alice][bob]
    assert world.store.mirror[bob][alice] == edge
    [event] = world.store.log.values()
    assert (event.kind, event.subject, event.target, event.version) == (EventKind.FOLLOW, alice, bob, edge.version_us)
    assert changed.token.event_ms == ids.time_ms(event.id)
    assert world.cache.rung[0][0] == shard_of(alice, world.store.shards)


async def test_edge_E3_unfollow_is_a_state(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    await world.unfollow(alice, bob)
    assert not world.store.edges_of[alice][bob].on
    assert not world.store.mirror[bob][alice].on


async def test_edge_E4_a_repeat_carries_the_same_version(world: World) -> None:
    alice, bob = world.user(), world.user()
    world.store.after["write_edge"] = _unknown
    await world.follow(alice, bob)
    first, second = (event for _, event in sorted(world.store.log.items()))
    assert first.version == second.version == world.store.edges_of[alice][bob].version_us
    assert second.repeat


async def test_edge_E5_following_again_soon_writes_the_same_edge_with_a_new_event(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    version = world.store.edges_of[alice][bob].version_us
    world.clock.advance(5000)
    again = await world.follow(alice, bob)
    assert again.token.event_ms == world.clock.now_ms()
    assert world.store.edges_of[alice][bob].version_us == version
    assert [event.version for event in world.store.log.values()] == [version, version]


async def test_edge_E5_following_again_later_writes_nothing_and_is_dated_now(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    world.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1000)
    again = await world.follow(alice, bob)
    assert again.token.event_ms == world.clock.now_ms() + 2 * CLOCK_BOUND_MS
    assert len(world.store.log) == 1


async def test_edge_E5_unfollowing_again_overwrites_again_before_it_says_settled(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    world.cache.down.add(world.cache.node_of(alice))
    assert not (await world.unfollow(alice, bob)).settled
    assert not (await world.unfollow(alice, bob)).settled
    world.cache.down.clear()
    assert (await world.unfollow(alice, bob)).settled
    assert world.cache.relations[alice][1] is None
    assert len(world.store.log) == 2


async def test_edge_E5_unfollowing_somebody_never_followed_is_ok(world: World) -> None:
    alice, bob = world.user(), world.user()
    assert (await world.unfollow(alice, bob)).settled
    assert not world.store.log


async def test_edge_E5_a_server_that_mints_nothing_gives_no_tokens_of_now_and_overwrites_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock may have been set back: reads with such a token would be content with too little."""
    alice, bob, carol, dave, erin = (world.user() for _ in range(5))
    call = world.call(alice)
    tweet = await world.post(alice)
    await world.users.set_protected(world.call(erin), True)
    await world.follow(alice, erin)
    await world.follow(alice, bob)
    await world.follow(alice, dave)
    await world.unfollow(alice, dave)
    await world.graph.mute(call, bob, 0)
    await world.graph.mute(call, dave, 0)
    await world.graph.unmute(call, dave)
    await world.graph.block(call, carol)
    await world.graph.block(call, dave)
    await world.graph.unblock(call, dave)
    await world.tweets.delete(call, tweet)
    world.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1000)
    call, overwritten = world.call(alice), list[str]()

    def noting(what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            overwritten.append(what)
            return do(*given)

        return noted

    for what in ("stub_relations", "mark_deleted"):
        monkeypatch.setattr(world.cache, what, noting(what, getattr(world.cache, what)))
    said_twice: list[tuple[Callable[[], Awaitable[Any]], list[str]]] = [
        (lambda: world.follow(alice, bob), []),
        (lambda: world.follow(alice, erin), []),
        (lambda: world.unfollow(alice, dave), ["stub_relations"]),
        (lambda: world.graph.block(call, carol), []),
        (lambda: world.graph.unblock(call, bob), []),
        (lambda: world.graph.unblock(call, dave), ["stub_relations"] * 2),
        (lambda: world.graph.mute(call, bob, 0), []),
        (lambda: world.graph.unmute(call, dave), ["stub_relations"]),
        (lambda: world.graph.deny(call, bob), []),
        (lambda: world.tweets.delete(call, tweet), ["mark_deleted"]),
    ]
    written = len(world.store.log)
    for again, overwrites in said_twice:
        overwritten.clear()
        token = (await again()).token
        assert (token.event_ms, overwritten) == (world.clock.now_ms() + 2 * CLOCK_BOUND_MS, overwrites)

    def refuse(mint: Mint) -> int:
        raise IdsRefused("clock")

    monkeypatch.setattr(Mint, "__call__", refuse)
    for again, overwrites in said_twice:
        overwritten.clear()
        with pytest.raises(IdsRefused):
            await again()
        assert overwritten == overwrites
    assert len(world.store.log) == written


async def test_edge_E6_the_list_is_gone_before_the_ack(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.page(alice)
    assert alice in world.cache.homes
    await world.follow(alice, bob)
    assert alice not in world.cache.homes
    assert world.cache.relations[alice] == (world.store.edges_of[alice][bob].version_us, None)


async def test_edge_E7_oneself_and_nobody(world: World) -> None:
    alice = world.user()
    with pytest.raises(InvalidArgument):
        await world.follow(alice, alice)
    with pytest.raises(InvalidArgument):
        await world.follow(alice, 0)
    with pytest.raises(NotFound):
        await world.follow(alice, 12345)
    with pytest.raises(NotFound):
        await world.unfollow(alice, 12345)
    assert not world.store.log


def _following(world: World, user: int, count: int) -> None:
    world.store.edges_of[user] = {other: Edge(user, other, True, other) for other in range(1, count + 1)}


def _followers(world: World, user: int, count: int) -> None:
    world.store.mirror[user] = {other: Edge(other, user, True, other) for other in range(1, count + 1)}


@pytest.mark.parametrize(
    ("following", "followers", "allowed"),
    [
        (FOLLOWING_BASE - 1, 0, True),
        (FOLLOWING_BASE, 0, False),
        (FOLLOWING_BASE, int((FOLLOWING_BASE + 1) / FOLLOWING_PER_FOLLOWER), False),
        (FOLLOWING_BASE, int((FOLLOWING_BASE + 1) / FOLLOWING_PER_FOLLOWER) + 1, True),
        (FOLLOWING_MAX - 1, FOLLOWING_MAX, True),
        (FOLLOWING_MAX, 10 * FOLLOWING_MAX, False),
    ],
)
async def test_edge_E7_the_cap(world: World, following: int, followers: int, allowed: bool) -> None:
    alice, bob = world.user(), world.user()
    _following(world, alice, following)
    _followers(world, alice, followers)
    if allowed:
        await world.follow(alice, bob)
        assert world.store.edges_of[alice][bob].on
    else:
        with pytest.raises(FollowLimitReached):
            await world.follow(alice, bob)
        assert bob not in world.store.edges_of[alice]


async def test_edge_E7_the_quota_of_a_day(world: World) -> None:
    alice, call = world.user(), None
    others = [world.user() for _ in range(FOLLOWS_PER_DAY + 1)]
    call = world.call(alice, bulk=False)
    for other in others[:-1]:
        await world.graph.follow(call, other)
    with pytest.raises(RateLimited):
        await world.graph.follow(call, others[-1])
    await world.graph.follow(world.call(alice), others[-1])  # bulk


async def test_edge_E8_a_caller_that_goes_away_stops_nothing(world: World) -> None:
    alice, bob, begun, release = world.user(), world.user(), asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await release.wait()

    world.store.before["write_edge"] = hold
    caller = asyncio.create_task(world.follow(alice, bob))
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    release.set()
    while not world.cache.rung:  # noqa: ASYNC110 - the last thing a change does
        await asyncio.sleep(0)
    assert world.store.edges_of[alice][bob].on


async def test_following_is_listed_newest_first_to_the_end(world: World) -> None:
    alice = world.user()
    others = [world.user() for _ in range(7)]
    for other in others:
        await world.follow(alice, other)
    await world.unfollow(alice, others[3])
    listed, cursor = [], None
    while True:
        page = await world.graph.list_following(world.call(alice), alice, 2, cursor)
        listed += [edge.followee_id for edge in page.edges]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == [other for other in reversed(others) if other != others[3]]


async def test_edges_of_one_version_are_each_listed_once(world: World) -> None:
    alice = world.user()
    world.store.edges_of[alice] = {other: Edge(alice, other, True, 5) for other in range(1, 8)}
    first = await world.graph.list_following(world.call(alice), alice, 3)
    second = await world.graph.list_following(world.call(alice), alice, 10, first.next_cursor)
    assert [edge.followee_id for edge in first.edges + second.edges] == [7, 6, 5, 4, 3, 2, 1]
    assert second.next_cursor is None


async def test_followers_are_listed_by_id(world: World) -> None:
    alice = world.user()
    others = [world.user() for _ in range(5)]
    for other in reversed(others):
        await world.follow(other, alice)
    first = await world.graph.list_followers(world.call(alice), alice, 3)
    assert first.follower_ids == tuple(others[:3])
    assert first.next_cursor == PageCursor(others[2])
    second = await world.graph.list_followers(world.call(alice), alice, LIST_PAGE_MAX + 1, first.next_cursor)
    assert second.follower_ids == tuple(others[3:])
    assert second.next_cursor is None
    with pytest.raises(InvalidArgument):
        await world.graph.list_followers(world.call(alice), alice, -1)
    with pytest.raises(NotFound):
        await world.graph.list_followers(world.call(alice), 4711, 3)


async def _hide(world: World, how: str, owner: int, caller: int) -> None:
    match how:
        case "blocked":
            await world.graph.block(world.call(owner), caller)
        case "blocking":
            await world.graph.block(world.call(caller), owner)
        case "protected":
            await world.users.set_protected(world.call(owner), True)
        case "deactivated":
            await world.users.deactivate(world.call(owner))


@pytest.mark.parametrize("how", ["blocked", "blocking", "protected", "deactivated"])
async def test_removal_R19_lists_are_as_hidden_as_tweets(world: World, how: str) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await world.follow(alice, carol)
    await world.follow(carol, alice)
    await _hide(world, how, alice, bob)
    with pytest.raises(NotFound):
        await world.profiles.page(world.call(bob), alice, 10)
    for listed in (world.graph.list_following, world.graph.list_followers):
        with pytest.raises(NotFound):
            await listed(world.call(bob), alice, 10)
        await listed(world.call(alice), alice, 10)
    followers = await world.graph.list_followers(world.call(bob), carol, 10)
    assert followers.follower_ids == (alice,), "an edge is there, whoever is shown"
    if how == "deactivated":
        with pytest.raises(NotFound):
            await world.graph.relationship(world.call(bob), alice)
    else:
        shown = await world.graph.relationship(world.call(bob), alice)
        assert (shown.blocked_by, shown.blocking) == (how == "blocked", how == "blocking")


async def test_removal_R19_followers_of_a_protected_account_see_its_lists(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(bob, alice)
    await world.users.set_protected(world.call(alice), True)
    assert (await world.graph.list_followers(world.call(bob), alice, 10)).follower_ids == (bob,)
    assert (await world.graph.list_following(world.call(bob), alice, 10)).edges == ()


async def test_relationships_look_both_ways(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await world.follow(alice, bob)
    await world.follow(bob, alice)
    await world.follow(carol, alice)
    found = await world.graph.relationships(world.call(alice), [carol, bob, 77])
    assert list(found.values()) == [
        Relationship(carol, followed_by=True),
        Relationship(bob, following=True, followed_by=True),
        Relationship(77),
    ]
    await world.unfollow(alice, bob)
    assert await world.graph.relationship(world.call(alice), bob) == Relationship(bob, followed_by=True)
    with pytest.raises(NotFound):
        await world.graph.relationship(world.call(alice), 77)
