"""Mutes: rule E17 of docs/protocols/edge.md."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument
from rookery_server.domain.events import EventKind
from rookery_server.domain.limits import CLOCK_BOUND_MS, EDGE_CERTAIN_AFTER_S
from rookery_server.domain.models import Mute
from tests.unit.services.people import pair, posts_of
from tests.unit.services.world import World

HOUR_MS = 3_600_000


async def test_edge_E17_a_mute_is_one_row_with_its_event(world: World) -> None:
    alice, bob = world.user(), world.user()
    changed = await world.graph.mute(world.call(alice), bob)
    mute = world.store.mutes_of[alice][bob]
    assert mute == Mute(alice, bob, True, mute.version_us, 0)
    [event] = world.store.log.values()
    assert (event.kind, event.subject, event.target, event.version) == (EventKind.MUTE, alice, bob, mute.version_us)
    assert changed.token.event_ms == ids.time_ms(event.id)
    assert changed.settled
    assert world.cache.relations[alice] == (mute.version_us, None)
    assert bob not in world.cache.relations


async def test_edge_E17_another_time_is_a_new_version_the_same_time_is_the_same_row(world: World) -> None:
    alice, bob = world.user(), world.user()
    until = world.clock.now_ms() + HOUR_MS
    await world.graph.mute(world.call(alice), bob)
    first = world.store.mutes_of[alice][bob]
    await world.graph.mute(world.call(alice), bob, until)
    second = world.store.mutes_of[alice][bob]
    assert (second.until_ms, second.version_us > first.version_us) == (until, True)
    await world.graph.mute(world.call(alice), bob, until)
    assert world.store.mutes_of[alice][bob] == second
    assert [event.version for event in world.store.log.values()][1:] == [second.version_us] * 2


async def test_edge_E17_muting_again_later_does_nothing(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.graph.mute(world.call(alice), bob)
    world.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1000)
    assert (await world.graph.mute(world.call(alice), bob)).token.event_ms == world.clock.now_ms() + 2 * CLOCK_BOUND_MS
    assert len(world.store.log) == 1


async def test_edge_E17_a_time_that_is_not_ahead_is_refused(world: World) -> None:
    alice, bob = world.user(), world.user()
    for until in (-1, 1, world.clock.now_ms()):
        with pytest.raises(InvalidArgument):
            await world.graph.mute(world.call(alice), bob, until)
    assert not world.store.log


async def test_edge_E17_unmuting_ends_it_and_again_is_ok(world: World) -> None:
    alice, bob = world.user(), world.user()
    assert (await world.graph.unmute(world.call(alice), bob)).settled
    await world.graph.mute(world.call(alice), bob)
    world.cache.down.add(world.cache.node_of(alice))
    assert not (await world.graph.unmute(world.call(alice), bob)).settled
    assert not world.store.mutes_of[alice][bob].on
    assert not (await world.graph.unmute(world.call(alice), bob)).settled
    world.cache.down.clear()
    assert (await world.graph.unmute(world.call(alice), bob)).settled
    assert len(world.store.log) == 2


async def test_mutes_are_listed_newest_first_while_they_stand(world: World) -> None:
    alice, others = world.user(), [world.user() for _ in range(4)]
    for other, until in zip(others, (0, HOUR_MS, 2 * HOUR_MS, 0), strict=True):
        await world.graph.mute(world.call(alice), other, until and world.clock.now_ms() + until)
    await world.graph.unmute(world.call(alice), others[3])
    world.clock.advance(HOUR_MS)
    first = await world.graph.list_mutes(world.call(alice), 1)
    rest = await world.graph.list_mutes(world.call(alice), 1, first.next_cursor)
    assert [mute.muted_id for mute in first.mutes + rest.mutes] == [others[2], others[0]]
    assert rest.next_cursor is None


async def test_removal_R13_R14_a_mute_hides_at_home_and_gives_back_at_its_time(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    changed = await world.graph.mute(world.call(alice), bob, world.clock.now_ms() + HOUR_MS)
    assert changed.settled
    hidden = await world.page(alice)
    assert (hidden.tweet_ids, hidden.info.hidden) == ((), 3)
    assert (await world.profiles.page(world.call(alice), bob, 20)).tweet_ids == tuple(posts[::-1])
    world.clock.advance(HOUR_MS)
    await world.work()
    assert (await world.page(alice)).tweet_ids == tuple(posts[::-1])
