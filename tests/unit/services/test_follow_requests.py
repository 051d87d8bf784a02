"""Asking first: rules E18 to E20 of docs/protocols/edge.md, one at a time."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import FollowLimitReached, InvalidArgument, NotFound, Outcome, StoreUnavailable
from rookery_server.domain.events import EventKind
from rookery_server.domain.limits import FOLLOWING_MAX
from rookery_server.domain.models import Edge, FollowRequest
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.edges import EdgeChanged
from tests.unit.services.people import become
from tests.unit.services.world import World


@pytest.fixture
async def asked(world: World) -> tuple[int, int]:
    """Alice, who asks to follow Bob."""
    alice, bob = world.user(), world.user()
    await become(world, bob, protected=True)
    assert (await world.follow(alice, bob)).requested
    return alice, bob


def _request(world: World, alice: int, bob: int) -> FollowRequest:
    return world.store.asked[bob][alice]


def _follows(world: World, alice: int, bob: int) -> bool:
    edge = world.store.edges_of[alice].get(bob)
    return edge is not None and edge.on


async def test_edge_E18_a_request_in_place_of_an_edge(world: World, asked: tuple[int, int]) -> None:
    assert _request(world, *asked).on
    assert not _follows(world, *asked)
    assert not world.store.log
    before = _request(world, *asked)
    assert (await world.follow(*asked)).requested
    assert _request(world, *asked) == before


async def test_edge_E18_who_follows_already_stays(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    await become(world, bob, protected=True)
    assert not (await world.follow(alice, bob)).requested
    assert _follows(world, alice, bob)


async def test_edge_E18_an_account_open_again_is_followed_and_the_request_ends(
    world: World, asked: tuple[int, int]
) -> None:
    await become(world, asked[1], protected=False)
    assert _request(world, *asked).on
    assert not (await world.follow(*asked)).requested
    assert _follows(world, *asked)
    assert not _request(world, *asked).on


async def test_edge_E18_a_request_of_long_ago_ends_with_the_follow_and_one_ended_long_ago_costs_no_second_write(
    world: World, asked: tuple[int, int]
) -> None:
    await become(world, asked[1], protected=False)
    world.clock.advance(86_400_000)
    await world.follow(*asked)
    assert not _request(world, *asked).on
    written = len(world.store.log)
    world.clock.advance(86_400_000)
    await world.unfollow(*asked)
    await world.follow(*asked)
    assert len(world.store.log) == written + 2


async def test_edge_E19_approved(world: World, asked: tuple[int, int]) -> None:
    alice, bob = asked
    asked_at = _request(world, alice, bob).version_us
    await world.page(alice)
    changed = await world.graph.approve(world.call(bob), alice)
    [event] = world.store.log.values()
    assert (event.kind, event.subject, event.target) == (EventKind.FOLLOW, alice, bob)
    assert (changed.settled, changed.requested, changed.token.event_ms) == (True, False, ids.time_ms(event.id))
    assert alice not in world.cache.homes
    assert _follows(world, alice, bob)
    assert _request(world, alice, bob) == FollowRequest(bob, alice, False, asked_at + 1)


async def test_edge_E19_approving_again_is_ok_and_without_a_request_it_is_not_found(
    world: World, asked: tuple[int, int]
) -> None:
    alice, bob = asked
    await world.graph.approve(world.call(bob), alice)
    await world.graph.approve(world.call(bob), alice)
    assert _follows(world, alice, bob)
    with pytest.raises(NotFound):
        await world.graph.approve(world.call(alice), bob)
    with pytest.raises(NotFound):
        await world.graph.approve(world.call(bob), 4711)
    with pytest.raises(InvalidArgument):
        await world.graph.approve(world.call(bob), bob)


async def test_edge_E19_an_approval_that_died_half_way_is_finished_by_the_next(
    world: World, asked: tuple[int, int]
) -> None:
    alice, bob = asked

    def dies() -> None:
        world.store.before["follow_request"] = _down

    world.store.after["write_edge"] = dies
    with pytest.raises(StoreUnavailable) as failed:
        await world.graph.approve(world.call(bob), alice)
    assert failed.value.outcome is Outcome.UNKNOWN
    assert _request(world, alice, bob).on
    await world.graph.approve(world.call(bob), alice)
    assert _follows(world, alice, bob)
    assert not _request(world, alice, bob).on


def _down() -> None:
    raise StoreUnavailable


async def test_edge_E19_the_cap_is_the_requesters(world: World, asked: tuple[int, int]) -> None:
    alice, bob = asked
    world.store.edges_of[alice] = {id_: Edge(alice, id_, True, id_) for id_ in range(1, FOLLOWING_MAX + 1)}
    with pytest.raises(FollowLimitReached):
        await world.graph.approve(world.call(bob), alice)
    assert _request(world, alice, bob).on


async def test_edge_E20_denied_and_withdrawn(world: World, asked: tuple[int, int]) -> None:
    alice, bob = asked

    async def deny() -> EdgeChanged:
        return await world.graph.deny(world.call(bob), alice)

    async def withdraw() -> EdgeChanged:
        return await world.graph.unfollow(world.call(alice), bob)

    for end in (deny, withdraw):
        before = _request(world, alice, bob).version_us
        assert (await end()).settled
        assert (await end()).settled
        assert not _request(world, alice, bob).on
        assert _request(world, alice, bob).version_us >= before + 2
        with pytest.raises(NotFound):
            await world.graph.approve(world.call(bob), alice)
        assert not _follows(world, alice, bob)
        assert (await world.follow(alice, bob)).requested  # asking anew is open
        assert _request(world, alice, bob).on


async def test_edge_E20_unfollow_ends_an_edge_made_while_the_request_was_open(
    world: World, asked: tuple[int, int]
) -> None:
    alice, bob = asked

    async def approve() -> None:
        version = ids.write_timestamp_us(world.mint())
        world.store.edges_of[alice][bob] = Edge(alice, bob, True, version)  # its request not read again yet

    world.store.before["write_follow_request"] = approve
    await world.unfollow(alice, bob)
    assert not _follows(world, alice, bob)


async def test_requests_are_listed_by_id(world: World) -> None:
    bob, others = world.user(), [world.user() for _ in range(4)]
    await become(world, bob, protected=True)
    for other in reversed(others):
        await world.follow(other, bob)
    await world.graph.deny(world.call(bob), others[1])
    first = await world.graph.list_follow_requests(world.call(bob), 2)
    assert [request.requester_id for request in first.requests] == [others[0], others[2]]
    assert first.next_cursor == PageCursor(others[2])
    rest = await world.graph.list_follow_requests(world.call(bob), 2, first.next_cursor)
    assert [request.requester_id for request in rest.requests] == [others[3]]
    assert rest.next_cursor is None
