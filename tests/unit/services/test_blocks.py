"""Blocks: rules E10 to E16 of docs/protocols/edge.md, as far as one at a time shows them."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import (
    AccountInactive,
    InvalidArgument,
    NotFound,
    Outcome,
    RateLimited,
    StoreUnavailable,
)
from rookery_server.domain.events import EventKind, shard_of
from rookery_server.domain.limits import BLOCKS_PER_DAY, CLOCK_BOUND_MS, EDGE_CERTAIN_AFTER_S
from rookery_server.domain.models import Block, Edge, UserState
from rookery_server.services.relationships import Relationship
from tests.unit.services.people import become
from tests.unit.services.world import World


def _down() -> None:
    raise StoreUnavailable


def _unknown() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


async def _friends(world: World) -> tuple[int, int]:
    """Alice and Bob, who follow each other."""
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    await world.follow(bob, alice)
    return alice, bob


def _standing(world: World, *pair: int) -> bool:
    one, other = pair
    return world.store.edges_of[one][other].on or world.store.edges_of[other][one].on


async def test_edge_E10_row_mirror_and_event_agree(world: World) -> None:
    alice, bob = world.user(), world.user()
    changed = await world.graph.block(world.call(alice), bob)
    block = world.store.blocks_of[alice][bob]
    assert block == world.store.blockers_of[bob][alice]
    assert block.on
    [event] = world.store.log.values()
    assert (event.kind, event.subject, event.target, event.version) == (EventKind.BLOCK, alice, bob, block.version_us)
    assert changed.token.event_ms == ids.time_ms(event.id)
    assert world.cache.rung[0][0] == shard_of(alice, world.store.shards)


async def test_edge_E10_both_edges_end_right_above_both_versions(world: World) -> None:
    alice, bob = await _friends(world)
    world.store.edges_of[bob][alice] = ahead = Edge(bob, alice, True, ids.write_timestamp_us(world.mint()) + 10**9)
    changed = await world.graph.block(world.call(alice), bob)
    block = world.store.blocks_of[alice][bob]
    assert not _standing(world, alice, bob)
    assert world.store.edges_of[alice][bob].version_us == block.version_us + 1
    assert world.store.edges_of[bob][alice].version_us == ahead.version_us + 1
    removals = [event for event in world.store.log.values() if event.kind is EventKind.UNFOLLOW]
    assert {(event.subject, event.target) for event in removals} == {(alice, bob), (bob, alice)}
    assert changed.token.event_ms == max(ids.time_ms(event.id) for event in removals)


async def test_edge_E11_a_blocked_pair_does_not_follow(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.graph.block(world.call(alice), bob)
    for follower, followee in ((alice, bob), (bob, alice)):
        with pytest.raises(NotFound):
            await world.follow(follower, followee)
        assert followee not in world.store.edges_of[follower]
    await world.graph.unblock(world.call(alice), bob)
    await world.follow(bob, alice)
    assert world.store.edges_of[bob][alice].on


async def test_edge_E11_a_follow_that_finds_a_block_after_its_batch_undoes_itself(world: World) -> None:
    alice, bob = world.user(), world.user()

    async def block() -> None:
        version = ids.write_timestamp_us(world.mint())
        world.store.blocks_of[bob][alice] = Block(bob, alice, True, version)  # and dies before it cuts

    world.store.after["write_edge"] = block
    with pytest.raises(NotFound):
        await world.follow(alice, bob)
    edge = world.store.edges_of[alice][bob]
    assert not edge.on
    assert world.store.mirror[bob][alice] == edge
    assert edge.version_us == world.store.blocks_of[bob][alice].version_us + 1
    assert world.cache.relations[alice] == (edge.version_us, None)


async def test_edge_E11_a_follow_that_cannot_look_again_is_unknown(world: World) -> None:
    alice, bob = world.user(), world.user()

    def blind() -> None:
        world.store.before["block"] = _down

    world.store.after["write_edge"] = blind
    with pytest.raises(StoreUnavailable) as failed:
        await world.follow(alice, bob)
    assert failed.value.outcome is Outcome.UNKNOWN


async def test_edge_E10_a_block_that_cannot_cut_is_unknown(world: World) -> None:
    alice, bob = await _friends(world)

    def blind() -> None:
        world.store.before["edge"] = _down

    world.store.after["write_block"] = blind
    with pytest.raises(StoreUnavailable) as failed:
        await world.graph.block(world.call(alice), bob)
    assert failed.value.outcome is Outcome.UNKNOWN
    assert (await world.graph.block(world.call(alice), bob)).settled  # said again it does the rest (E14)
    assert not _standing(world, alice, bob)


async def test_edge_E13_requests_both_ways_end(world: World) -> None:
    alice, bob = world.user(), world.user()
    for user in (alice, bob):
        await become(world, user, protected=True)
    assert (await world.follow(alice, bob)).requested
    assert (await world.follow(bob, alice)).requested
    await world.graph.block(world.call(alice), bob)
    assert not world.store.asked[alice][bob].on
    assert not world.store.asked[bob][alice].on


async def test_edge_E13_a_request_that_finds_a_block_after_its_write_takes_itself_back(world: World) -> None:
    alice, bob = world.user(), world.user()
    await become(world, bob, protected=True)

    async def block() -> None:
        world.store.blocks_of[bob][alice] = Block(bob, alice, True, 1)

    world.store.after["write_follow_request"] = block
    with pytest.raises(NotFound):
        await world.follow(alice, bob)
    assert not world.store.asked[bob][alice].on


async def test_edge_E14_blocking_again_soon_writes_the_same_row_and_all_that_follows(world: World) -> None:
    alice, bob = await _friends(world)
    world.store.after["write_block"] = _unknown
    first = await world.graph.block(world.call(alice), bob)
    version = world.store.blocks_of[alice][bob].version_us
    world.clock.advance(5_000)
    again = await world.graph.block(world.call(alice), bob)
    assert again.token.event_ms > first.token.event_ms
    assert world.store.blocks_of[alice][bob].version_us == version
    written = [event for event in world.store.log.values() if event.kind is EventKind.BLOCK]
    assert [event.version for event in written] == [version] * 3
    assert not _standing(world, alice, bob)


async def test_edge_E14_blocking_again_later_does_nothing(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.graph.block(world.call(alice), bob)
    world.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1000)
    again = await world.graph.block(world.call(alice), bob)
    assert again.settled
    assert again.token.event_ms == world.clock.now_ms() + 2 * CLOCK_BOUND_MS
    assert len(world.store.log) == 1


async def test_edge_E14_unblocking_again_overwrites_again_before_it_says_settled(world: World) -> None:
    alice, bob = world.user(), world.user()
    assert (await world.graph.unblock(world.call(alice), bob)).settled
    assert not world.store.log
    await world.graph.block(world.call(alice), bob)
    world.cache.down.add(world.cache.node_of(bob))
    assert not (await world.graph.unblock(world.call(alice), bob)).settled
    assert not (await world.graph.unblock(world.call(alice), bob)).settled
    world.cache.down.clear()
    assert (await world.graph.unblock(world.call(alice), bob)).settled
    assert world.cache.relations[bob][1] is None
    assert [event.kind for event in world.store.log.values()] == [EventKind.BLOCK, EventKind.UNBLOCK]


@pytest.mark.parametrize("which", [0, 1])
async def test_edge_E15_both_are_stubbed_and_settled_needs_both(world: World, which: int) -> None:
    pair = await _friends(world)
    for user in pair:
        await world.page(user)
    world.cache.down.add(world.cache.node_of(pair[which]))
    assert not (await world.graph.block(world.call(pair[0]), pair[1])).settled
    world.cache.down.clear()
    assert (await world.graph.block(world.call(pair[0]), pair[1])).settled
    for user in pair:
        assert user not in world.cache.homes
        assert world.cache.relations[user][1] is None


async def test_edge_E15_an_unblock_brings_no_edge_back(world: World) -> None:
    alice, bob = await _friends(world)
    await world.graph.block(world.call(alice), bob)
    await world.graph.unblock(world.call(alice), bob)
    assert not _standing(world, alice, bob)
    block = world.store.blocks_of[alice][bob]
    assert not block.on
    assert world.store.blockers_of[bob][alice] == block


async def test_edge_E16_refused(world: World) -> None:
    alice, bob = world.user(), world.user()
    for change in (world.graph.block, world.graph.unblock, world.graph.mute, world.graph.unmute):
        with pytest.raises(InvalidArgument):
            await change(world.call(alice), alice)
        with pytest.raises(NotFound):
            await change(world.call(alice), 12345)
    await become(world, alice, state=UserState.DEACTIVATED)
    for refused in (world.graph.block, world.graph.unblock, world.graph.unmute, world.graph.follow):
        with pytest.raises(AccountInactive):
            await refused(world.call(alice), bob)
    with pytest.raises(AccountInactive):
        await world.graph.mute(world.call(alice), bob)
    assert not world.store.log


async def test_edge_E16_whoever_is_hidden_may_be_blocked_but_not_followed(world: World) -> None:
    alice, bob = world.user(), world.user()
    await become(world, bob, state=UserState.SUSPENDED)
    with pytest.raises(NotFound):
        await world.follow(alice, bob)
    for change in (world.graph.block, world.graph.unblock, world.graph.mute, world.graph.unmute, world.graph.unfollow):
        await change(world.call(alice), bob)


async def test_edge_E16_the_quota_of_a_day_counts_blocks_and_mutes(world: World) -> None:
    alice = world.user()
    others = [world.user() for _ in range(BLOCKS_PER_DAY + 1)]
    call = world.call(alice, bulk=False)
    for at, other in enumerate(others[:-1]):
        await (world.graph.block(call, other) if at % 2 else world.graph.mute(call, other))
    for refused in (world.graph.block, world.graph.mute):
        with pytest.raises(RateLimited):
            await refused(call, others[-1])
    await world.graph.unblock(call, others[1])


async def test_blocks_are_listed_newest_first(world: World) -> None:
    alice = world.user()
    others = [world.user() for _ in range(5)]
    for other in others:
        await world.graph.block(world.call(alice), other)
    await world.graph.unblock(world.call(alice), others[2])
    first = await world.graph.list_blocks(world.call(alice), 2)
    rest = await world.graph.list_blocks(world.call(alice), 2, first.next_cursor)
    assert [block.blocked_id for block in first.blocks + rest.blocks] == [others[4], others[3], others[1], others[0]]
    assert rest.next_cursor is None
    assert not (await world.graph.list_blocks(world.call(others[0]), 2)).blocks


async def test_relationships_tell_all_there_is_between_two(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await become(world, bob, protected=True)
    await become(world, alice, protected=True)
    await world.follow(alice, bob)
    await world.follow(bob, alice)
    await world.graph.mute(world.call(alice), bob)
    await world.graph.block(world.call(alice), carol)
    assert await world.graph.relationships(world.call(alice), [carol, bob, 77]) == {
        carol: Relationship(carol, blocking=True),
        bob: Relationship(bob, muting=True, requested=True, requested_by=True),
        77: Relationship(77),
    }
    assert await world.graph.relationship(world.call(carol), alice) == Relationship(alice, blocked_by=True)
    await world.graph.approve(world.call(bob), alice)
    assert await world.graph.relationship(world.call(bob), alice) == Relationship(
        alice, followed_by=True, requested=True
    )
    await world.graph.approve(world.call(alice), bob)
    assert await world.graph.relationship(world.call(bob), alice) == Relationship(
        alice, following=True, followed_by=True
    )
