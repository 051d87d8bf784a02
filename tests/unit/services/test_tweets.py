"""Reading and deleting tweets by id."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument, NotFound, Outcome, PermissionDenied, StoreUnavailable
from rookery_server.domain.events import EventKind
from rookery_server.domain.limits import BATCH_IDS, CLOCK_BOUND_MS
from rookery_server.store.interface import TweetRow
from tests.unit.services.world import World


def _unknown() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


async def test_a_batch_answers_per_key_in_the_order_asked(world: World) -> None:
    alice = world.user()
    one, two = await world.post(alice, "one"), await world.post(alice, "two")
    found = await world.tweets.batch_get(world.call(alice), [two, 999, one, two])
    assert list(found) == [two, 999, one]
    assert found[999] is None
    assert found[one] == world.store.tweets[one].body


@pytest.mark.parametrize("wanted", [[], [0], [-1], [1 << 63], list(range(1, BATCH_IDS + 2))])
async def test_a_bad_batch_reads_nothing(world: World, wanted: list[int]) -> None:
    with pytest.raises(InvalidArgument):
        await world.tweets.batch_get(world.call(0), wanted)
    assert world.store.calls == []


async def test_misses_fill_the_cache_and_later_reads_come_from_there(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    world.cache.bodies.clear()
    await world.tweets.get(world.call(alice), tweet)
    world.store.calls.clear()
    assert await world.tweets.get(world.call(alice), tweet) == world.store.tweets[tweet].body
    assert world.store.calls == []


async def test_never_issued_is_not_remembered(world: World) -> None:
    with pytest.raises(NotFound):
        await world.tweets.get(world.call(0), 777)
    assert 777 not in world.cache.bodies


async def test_a_token_bypasses_the_cached_copy(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    world.cache.down.add(world.cache.node_of(tweet))
    removed = await world.tweets.delete(world.call(alice), tweet)
    assert not removed.settled
    world.cache.down.clear()
    assert await world.tweets.get(world.call(alice), tweet)  # a stale copy, until the outbox has it
    with pytest.raises(NotFound):
        await world.tweets.get(world.call(alice), tweet, removed.token)


async def test_removal_R4_a_delete_empties_both_tables_at_a_later_version(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    before = world.store.tweets[tweet].version_us
    removed = await world.tweets.delete(world.call(alice), tweet)
    assert removed.settled
    assert world.store.tweets[tweet].body == world.store.own_tweets[alice][tweet].body == b""
    event = world.store.log[max(world.store.log)]
    assert event.kind is EventKind.DELETE
    assert event.version == world.store.tweets[tweet].version_us > before
    assert removed.token.event_ms == ids.time_ms(event.id)


async def test_removal_R5_the_marker_is_set_whatever_is_there(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    await world.tweets.delete(world.call(alice), tweet)
    assert world.cache.bodies[tweet] == b""
    with pytest.raises(NotFound):
        await world.tweets.get(world.call(alice), tweet)


async def test_removal_R6_a_node_out_of_reach_is_not_settled_and_fails_nothing(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    world.cache.down.add(world.cache.node_of(tweet))
    assert not (await world.tweets.delete(world.call(alice), tweet)).settled
    world.cache.down.clear()
    assert (await world.tweets.delete(world.call(alice), tweet)).settled


async def test_removal_R7_deleting_again_writes_nothing_but_the_marker(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    await world.tweets.delete(world.call(alice), tweet)
    written = len(world.store.log)
    world.cache.bodies.clear()
    world.clock.advance(1000)
    again = await world.tweets.delete(world.call(alice), tweet)
    assert again.settled
    assert again.token.event_ms == world.clock.now_ms() + 2 * CLOCK_BOUND_MS
    assert world.cache.bodies[tweet] == b""
    assert len(world.store.log) == written


async def test_removal_R7_half_a_delete_is_finished(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    row = world.store.tweets[tweet]
    world.store.tweets[tweet] = TweetRow(tweet, alice, b"", row.version_us + 5)  # the other half is on its way
    await world.tweets.delete(world.call(alice), tweet)
    assert world.store.own_tweets[alice][tweet].body == b""
    assert world.store.own_tweets[alice][tweet].version_us > row.version_us + 5


async def test_removal_R8_who_may(world: World) -> None:
    alice, bob = world.user(), world.user()
    tweet = await world.post(alice)
    with pytest.raises(PermissionDenied):
        await world.tweets.delete(world.call(bob), tweet)
    with pytest.raises(NotFound):
        await world.tweets.delete(world.call(bob), 999)
    await world.tweets.delete(world.call(alice), tweet)
    with pytest.raises(NotFound):
        await world.tweets.delete(world.call(bob), tweet)


async def test_an_unknown_delete_is_repeated_at_the_same_version(world: World) -> None:
    alice = world.user()
    tweet = await world.post(alice)
    world.store.before["delete"] = _unknown
    await world.tweets.delete(world.call(alice), tweet)
    event = world.store.log[max(world.store.log)]
    assert event.repeat
    assert event.version == world.store.tweets[tweet].version_us
