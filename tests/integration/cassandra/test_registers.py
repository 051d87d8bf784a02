"""Blocks, mutes, requests, cut edges, tiers, counts on a real node: late commits, lost answers, how long rows live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from rookery_server.domain import ids, limits
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind, shard_of
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute
from rookery_server.store.cassandra import counts
from rookery_server.store.cassandra.session import CassandraSession, SessionHook
from rookery_server.store.cassandra.statements import read
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.interface import Count, CountKind
from tests.support.keyspaces import SHARDS
from tests.support.session_hooks import Faults

Open = Callable[[SessionHook], Awaitable[CassandraStore]]
ME, YOU = 77, 78
CLOCK = SystemClock()
LIVES = (
    read("life_of_block", "SELECT TTL(state), TTL(version) FROM blocks WHERE blocker_id = ? AND blocked_id = ?"),
    read("life_of_mirror", "SELECT TTL(state) FROM blocked_by WHERE blocked_id = ? AND shard = 0 AND blocker_id = ?"),
    read("life_of_mute", "SELECT TTL(state), TTL(until_ms) FROM mutes WHERE muter_id = ? AND muted_id = ?"),
    read("life_of_request", "SELECT TTL(state) FROM follow_requests WHERE requester_id = ? AND target_id = ?"),
    read("life_of_edge", "SELECT TTL(state) FROM following WHERE follower_id = ? AND followee_id = ?"),
    read(
        "life_of_follower", "SELECT TTL(state) FROM followers WHERE followee_id = ? AND shard = 0 AND follower_id = ?"
    ),
)
OF_MIRRORS = ("life_of_mirror", "life_of_follower")


def event(kind: EventKind, version: int) -> Event:
    return Event(ids.compose(CLOCK.now_ms(), 2, version), kind, ME, YOU, version)


async def write_all(store: CassandraStore, on: bool, version: int) -> None:
    await store.write_block(Block(ME, YOU, on, version), event(EventKind.BLOCK, version))
    await store.write_mute(Mute(ME, YOU, on, version), event(EventKind.MUTE, version))
    await store.write_follow_request(FollowRequest(YOU, ME, on, version))
    if on:
        await store.write_edge(Edge(ME, YOU, True, version), event(EventKind.FOLLOW, version))
    else:
        await store.cut_edge(Edge(ME, YOU, False, version))


async def test_what_was_lifted_lives_eight_days_and_what_stands_for_ever(
    cassandra_store: CassandraStore, empty_keyspace: CassandraSession
) -> None:
    await empty_keyspace.prepare(LIVES)

    async def lives() -> set[int | None]:
        keys = {one: (YOU, ME) if one.name in OF_MIRRORS else (ME, YOU) for one in LIVES}
        return {life for one, key in keys.items() for row in await empty_keyspace.execute(one, key) for life in row}

    await write_all(cassandra_store, True, 5)
    assert await lives() == {None}
    await write_all(cassandra_store, False, 6)
    found = await lives()
    assert None not in found
    assert all(limits.REMOVED_EDGE_LIFE_S - 60 < (life or 0) <= limits.REMOVED_EDGE_LIFE_S for life in found)
    await write_all(cassandra_store, True, 7)
    assert await lives() == {None}


async def test_a_block_that_commits_late_appears_wholly(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    block, told = Block(ME, YOU, True, 5), event(EventKind.BLOCK, 5)
    faults.commit_late("block_batch")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.write_block(block, told)
    assert unknown.value.outcome is Outcome.UNKNOWN
    assert await store.block(ME, YOU) is None
    await faults.release()
    assert await store.block(ME, YOU) == block
    assert await store.blocked_by(YOU, 10) == (block,)
    at = ids.time_ms(told.id)
    assert [row.event for row in await store.read(shard_of(ME, SHARDS), at, at + 1)] == [told]


async def test_a_block_and_a_mute_that_come_late_lose_to_what_was_written_after(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    for batch in ("block_batch", "mute_batch"):
        faults.commit_late(batch)
    with pytest.raises(StoreUnavailable):
        await store.write_block(Block(ME, YOU, True, 5), event(EventKind.BLOCK, 5))
    with pytest.raises(StoreUnavailable):
        await store.write_mute(Mute(ME, YOU, True, 5), event(EventKind.MUTE, 5))
    await store.write_block(Block(ME, YOU, False, 6), event(EventKind.UNBLOCK, 6))
    await store.write_mute(Mute(ME, YOU, False, 6), event(EventKind.MUTE, 6))
    await faults.release()
    assert await store.block(ME, YOU) == Block(ME, YOU, False, 6)
    assert await store.blockers_among(YOU, [ME]) == frozenset()
    assert await store.mute(ME, YOU) == Mute(ME, YOU, False, 6)


async def test_an_edge_that_comes_late_stays_cut(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    faults.commit_late("edge_batch")
    with pytest.raises(StoreUnavailable):
        await store.write_edge(Edge(ME, YOU, True, 5), event(EventKind.FOLLOW, 5))
    await store.cut_edge(Edge(ME, YOU, False, 6))
    await faults.release()
    assert await store.edge(ME, YOU) == Edge(ME, YOU, False, 6)
    assert (await store.followers(YOU, None, 10)).follower_ids == ()


async def test_an_unknown_tier_is_settled_by_the_row(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    first, second, third = (AuthorTier(ME, at != 1, at) for at in range(3))
    faults.lose_reply("tier_first")
    assert await store.set_tier(None, first) == first
    faults.lose_request("tier_change")
    assert await store.set_tier(first, second) == first
    faults.lose_reply("tier_change")
    assert await store.set_tier(first, second) == second
    faults.lose_request("tier_change")
    faults.lose_request("tier_at_serial")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.set_tier(second, third)
    assert unknown.value.outcome is Outcome.UNKNOWN
    assert await store.tiers() == (second,)


async def test_a_count_of_a_later_releases_kind_is_passed_over(
    cassandra_store: CassandraStore, empty_keyspace: CassandraSession
) -> None:
    await empty_keyspace.execute(counts.COUNT_PUT, (ME, "likes", 0, 4, 5))
    await empty_keyspace.execute(counts.COUNT_PUT, (YOU, "likes", 0, 4, 5))
    count = Count(ME, CountKind.TWEETS, 231, 9, 6)
    await cassandra_store.write_count(count)
    assert await cassandra_store.counts([ME, YOU]) == {ME: (count,)}
