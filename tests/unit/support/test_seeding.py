"""Rows of the past are those a server would have written then, and no two have one id."""

from __future__ import annotations

from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.rpc.convert import ProtoTweetCodec
from rookery_server.store.interface import Store
from rookery_server.store.memory.world import MemoryStoreWorld
from tests.support.seeding import Seeding

ALICE, BOB, LONG_AGO_MS = 7, 8, 1_600_000_000_000


async def test_a_tweet_of_the_past_has_an_id_of_its_time() -> None:
    store: Store = MemoryStoreWorld(SystemClock(), shards=4).client()
    tweet_id = await Seeding(store).post(ALICE, LONG_AGO_MS, "of old")
    row = (await store.get_tweets([tweet_id]))[tweet_id]
    tweet = ProtoTweetCodec().decode(row.body)
    assert (tweet.id, tweet.author_id, tweet.text) == (tweet_id, ALICE, "of old")
    assert ids.time_ms(tweet_id) == tweet.create_time_ms == LONG_AGO_MS
    assert (await store.user_tweet_ids(ALICE, None, 10)).ids == (tweet_id,)


async def test_a_thousand_of_one_instant_differ() -> None:
    seeding = Seeding(MemoryStoreWorld(SystemClock(), shards=4).client())
    assert len({await seeding.post(ALICE, LONG_AGO_MS) for _ in range(1000)}) == 1000


async def test_who_follows_is_found_from_both_sides() -> None:
    store: Store = MemoryStoreWorld(SystemClock(), shards=4).client()
    seeding = Seeding(store)
    await seeding.follow(BOB, ALICE)
    await seeding.crowd(ALICE, range(100, 110))
    assert [edge.followee_id for edge in await store.following(BOB)] == [ALICE]
    assert set((await store.followers(ALICE, None, 50)).follower_ids) == {BOB, *range(100, 110)}
