"""Tweets by id and by author: written whole, newest first, and nothing removed comes back."""

from __future__ import annotations

import asyncio
import random

import pytest

from rookery_server.domain import ids as snowflake
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.events import EventKind, shard_of
from rookery_server.store.interface import Store, TweetRow
from tests.conformance.ids import Ids
from tests.conformance.store.conftest import MakeStore

AUTHOR = 42
DAY_S = 86_400


def row_of(tweet_id: int, body: bytes = b"body", author: int = AUTHOR) -> TweetRow:
    return TweetRow(tweet_id, author, body, snowflake.write_timestamp_us(tweet_id))


async def post(store: Store, ids: Ids, row: TweetRow) -> None:
    await store.post(row, ids.event(EventKind.POST, row.author_id, row.tweet_id, row.version_us))


async def delete(store: Store, ids: Ids, tweet_id: int, version: int) -> None:
    await store.delete(tweet_id, AUTHOR, ids.event(EventKind.DELETE, AUTHOR, tweet_id, version))


async def history(store: Store, limit: int) -> list[int]:
    """All ids of the author, page by page."""
    found: list[int] = []
    while True:
        page = await store.user_tweet_ids(AUTHOR, found[-1] if found else None, limit)
        found += page.ids
        if page.end:
            return found
        assert page.ids, "nothing, and yet not the end"


async def test_a_post_is_found_everywhere_at_once(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    event = ids.event(EventKind.POST, AUTHOR, row.tweet_id, row.version_us)
    await store.post(row, event)
    assert await store.get_tweets([row.tweet_id]) == {row.tweet_id: row}
    assert await store.user_tweet(AUTHOR, row.tweet_id) == row
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (row,)
    assert (await store.user_tweet_ids(AUTHOR, None, 10)).ids == (row.tweet_id,)
    at = snowflake.time_ms(event.id)
    (found,) = await store.read(shard_of(AUTHOR, store.shards), at, at + 1)
    assert found.event == event


async def test_what_one_process_wrote_another_sees(make_store: MakeStore, ids: Ids) -> None:
    one, other = make_store(SystemClock()), make_store(SystemClock())
    row = row_of(ids.mint())
    await post(one, ids, row)
    assert await other.user_tweet(AUTHOR, row.tweet_id) == row


async def test_unknown_tweets_are_absent(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    await post(store, ids, row)
    unknown = ids.mint()
    assert await store.get_tweets([]) == {}
    assert await store.get_tweets([unknown, row.tweet_id, row.tweet_id]) == {row.tweet_id: row}
    assert await store.user_tweet(AUTHOR, unknown) is None
    assert await store.user_tweet(AUTHOR + 1, row.tweet_id) is None


async def test_an_author_without_tweets_is_at_the_end(store: Store, ids: Ids) -> None:
    empty = await store.user_tweets(AUTHOR, None, 10)
    assert (empty.rows, empty.end) == ((), True)
    ids_only = await store.user_tweet_ids(AUTHOR, ids.mint(), 10)
    assert (ids_only.ids, ids_only.end) == ((), True)


async def test_the_ids_of_many_authors_are_those_of_each(store: Store, ids: Ids) -> None:
    """Quiet ones and busy ones, over one bucket and over many, each from its own place on."""
    dice, now_ms = random.Random(5), SystemClock().now_ms()
    authors = range(AUTHOR, AUTHOR + 80)
    for author in authors:
        months = dice.choice([0, 1, 2, 15])
        for number in range(dice.choice([1, 3, 8]) if months else 0):
            old_ms = dice.randrange(months * 25 * 86_400_000)
            await post(store, ids, row_of(snowflake.compose(now_ms - old_ms, 9, number), author=author))
    top = {author: (await store.user_tweet_ids(author, None, 100)).ids for author in authors}
    places = {author: dice.choice([None, *top[author]]) for author in authors}
    for before in (dict.fromkeys(authors), dict.fromkeys(authors, ids.mint()), places, {authors[0]: None}, {}):
        for limit in (1, 3, 100):
            found = await store.tweet_ids_by_user(before, limit)
            assert found == {author: await store.user_tweet_ids(author, at, limit) for author, at in before.items()}


async def test_a_repeat_with_a_new_event_changes_nothing_but_the_log(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    events = [ids.event(EventKind.POST, AUTHOR, row.tweet_id, row.version_us) for _ in range(2)]
    for event in events:
        await store.post(row, event)
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (row,)
    log = await store.read(
        shard_of(AUTHOR, store.shards), snowflake.time_ms(events[0].id), snowflake.time_ms(events[1].id) + 1
    )
    assert [found.event for found in log] == events


async def test_a_deleted_tweet_stays_as_an_empty_row(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    await post(store, ids, row)
    await delete(store, ids, row.tweet_id, row.version_us + 5)
    gone = TweetRow(row.tweet_id, AUTHOR, b"", row.version_us + 5)
    assert await store.get_tweets([row.tweet_id]) == {row.tweet_id: gone}
    assert await store.user_tweet(AUTHOR, row.tweet_id) == gone
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (gone,)
    assert (await store.user_tweet_ids(AUTHOR, None, 10)).ids == (row.tweet_id,)


async def test_a_repeated_post_brings_nothing_deleted_back(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    await post(store, ids, row)
    await delete(store, ids, row.tweet_id, row.version_us + 1)
    await post(store, ids, row)
    assert (await store.get_tweets([row.tweet_id]))[row.tweet_id].body == b""
    assert (await store.user_tweets(AUTHOR, None, 10)).rows[0].body == b""


async def test_a_delete_that_comes_before_its_post_wins_all_the_same(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    await delete(store, ids, row.tweet_id, row.version_us + 1)
    await post(store, ids, row)
    assert (await store.get_tweets([row.tweet_id]))[row.tweet_id].body == b""


async def test_deleting_again_later_moves_the_version_and_earlier_does_not(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint())
    await post(store, ids, row)
    for version in (row.version_us + 9, row.version_us + 3):
        await delete(store, ids, row.tweet_id, version)
    found = await store.user_tweet(AUTHOR, row.tweet_id)
    assert found is not None
    assert found.version_us == row.version_us + 9


async def test_the_delete_is_in_the_log(store: Store, ids: Ids) -> None:
    event = ids.event(EventKind.DELETE, AUTHOR, ids.mint(), 5)
    await store.delete(event.target, AUTHOR, event)
    at = snowflake.time_ms(event.id)
    assert [row.event for row in await store.read(shard_of(AUTHOR, store.shards), at, at + 1)] == [event]


async def test_pages_go_down_to_the_end_of_history_over_long_gaps(store: Store, ids: Ids) -> None:
    """Years, months and seconds apart: the buckets of the real table show nowhere."""
    ages = [0, 1, 2, 26 * DAY_S, 27 * DAY_S, 60 * DAY_S, 400 * DAY_S, 400 * DAY_S + 1, 3000 * DAY_S]
    rows = [row_of(ids.mint(age_s), b"%d" % age_s) for age_s in ages]
    for row in reversed(rows):
        await post(store, ids, row)
    newest_first = [row.tweet_id for row in rows]
    for limit in (1, 2, 4, 9, 100):
        assert await history(store, limit) == newest_first
    deep = await store.user_tweets(AUTHOR, rows[5].tweet_id, 100)
    assert deep.rows == tuple(rows[6:])
    assert deep.end


async def test_pages_are_strictly_below_their_border(store: Store, ids: Ids) -> None:
    rows = [row_of(ids.mint()) for _ in range(5)]
    for row in rows:
        await post(store, ids, row)
    page = await store.user_tweets(AUTHOR, rows[3].tweet_id, 2)
    assert page.rows == (rows[2], rows[1])
    assert not page.end
    between = await store.user_tweet_ids(AUTHOR, rows[0].tweet_id + 1, 2)
    assert (between.ids, between.end) == ((rows[0].tweet_id,), True)


@pytest.mark.parametrize("seed", range(3))
async def test_random_writes_end_as_the_latest_timestamps_say(store: Store, ids: Ids, seed: int) -> None:
    """Posts, repeats and deletions in any order, over months; of one timestamp the greater body stands."""
    dice = random.Random(seed)
    tweets = [ids.mint(dice.choice((0, 20, 40, 400)) * DAY_S) for _ in range(8)]
    truth: dict[int, TweetRow] = {}
    for _ in range(30):
        row = row_of(dice.choice(tweets))
        if dice.random() < 0.3:
            row = TweetRow(row.tweet_id, AUTHOR, b"", row.version_us + dice.randrange(3))
            await delete(store, ids, row.tweet_id, row.version_us)
        else:
            await post(store, ids, row)
        truth[row.tweet_id] = max(row, truth.get(row.tweet_id, row), key=lambda one: (one.version_us, one.body))
    assert await store.get_tweets(tweets) == truth
    newest_first = [truth[tweet_id] for tweet_id in sorted(truth, reverse=True)]
    assert (await store.user_tweets(AUTHOR, None, 100)).rows == tuple(newest_first)
    for limit in (1, 3):
        assert await history(store, limit) == [row.tweet_id for row in newest_first]
    for row in newest_first:
        assert await store.user_tweet(AUTHOR, row.tweet_id) == row


async def test_authors_are_kept_apart(store: Store, ids: Ids) -> None:
    mine, others = row_of(ids.mint()), row_of(ids.mint(), author=AUTHOR + 1)
    await asyncio.gather(post(store, ids, mine), post(store, ids, others))
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (mine,)
    assert (await store.user_tweets(AUTHOR + 1, None, 10)).rows == (others,)


async def test_two_tweets_of_one_millisecond_both_stay(store: Store, ids: Ids) -> None:
    first = ids.mint()
    rows = [row_of(first), row_of(first + 1), row_of(first + 2)]
    await asyncio.gather(*(post(store, ids, row) for row in rows))
    assert await history(store, 2) == [row.tweet_id for row in reversed(rows)]


async def test_bodies_are_bytes_of_any_kind(store: Store, ids: Ids) -> None:
    row = row_of(ids.mint(), bytes(range(256)) * 16)
    await post(store, ids, row)
    assert await store.get_tweets([row.tweet_id]) == {row.tweet_id: row}
