"""Counts with their time, and the counting of a part."""

from __future__ import annotations

import pytest

from rookery_server.domain.events import EventKind
from rookery_server.domain.ids import write_timestamp_us
from rookery_server.domain.models import Edge
from rookery_server.store.interface import Count, CountKind, Store, TweetRow
from tests.conformance.ids import Ids

ME, YOU = 1001, 2002
NOW_US = 1_700_000_000_000_000
DAY_S = 86_400


async def post(store: Store, ids: Ids, tweet_id: int) -> None:
    version = write_timestamp_us(tweet_id)
    await store.post(TweetRow(tweet_id, ME, b"body", version), ids.event(EventKind.POST, ME, tweet_id, version))


async def delete(store: Store, ids: Ids, tweet_id: int) -> None:
    await store.delete(tweet_id, ME, ids.event(EventKind.DELETE, ME, tweet_id, write_timestamp_us(tweet_id) + 1))


async def total(store: Store, subject_id: int, kind: CountKind, rows: list[int]) -> int:
    """Counted over the parts those rows can be in."""
    parts = {part for row in rows for part in store.count_parts(kind, row)}
    return sum([await store.recount(subject_id, kind, part) for part in sorted(parts)])


async def test_what_was_never_counted_is_absent(store: Store) -> None:
    await store.write_count(Count(ME, CountKind.TWEETS, 1, 3, NOW_US))
    assert await store.counts([]) == {}
    assert list(await store.counts([YOU, ME, ME])) == [ME]


async def test_every_part_and_kind_is_kept(store: Store) -> None:
    counts = (
        Count(ME, CountKind.FOLLOWERS, -1, 0, NOW_US + 2),
        Count(ME, CountKind.FOLLOWERS, 0, 2**40, NOW_US),
        Count(ME, CountKind.FOLLOWERS, 7, 4, NOW_US + 1),
        Count(ME, CountKind.FOLLOWING, 0, 0, NOW_US),
        Count(ME, CountKind.TWEETS, 231, 5, NOW_US),
    )
    other = Count(YOU, CountKind.TWEETS, 231, 9, NOW_US)
    for count in (other, *reversed(counts)):
        await store.write_count(count)
    assert await store.counts([ME, YOU]) == {ME: counts, YOU: (other,)}


@pytest.mark.parametrize("later_first", [False, True])
async def test_the_later_count_stands_whatever_it_says(store: Store, later_first: bool) -> None:
    earlier, later = (Count(ME, CountKind.FOLLOWERS, 0, value, NOW_US + at) for at, value in enumerate((9, 4)))
    for count in (later, earlier) if later_first else (earlier, later):
        await store.write_count(count)
    assert await store.counts([ME]) == {ME: (later,)}


async def test_counting_again_at_one_time_changes_nothing_else(store: Store) -> None:
    count = Count(ME, CountKind.FOLLOWERS, 0, 9, NOW_US)
    for _ in range(2):
        await store.write_count(count)
    assert await store.counts([ME]) == {ME: (count,)}


async def test_of_two_counts_of_one_time_the_greater_stands(store: Store) -> None:
    counts = [Count(ME, CountKind.FOLLOWERS, 0, value, NOW_US) for value in (3, 300, 9)]
    for count in counts:
        await store.write_count(count)
    assert await store.counts([ME]) == {ME: (counts[1],)}


async def test_edges_that_are_on_are_counted_on_both_sides(store: Store, ids: Ids, short_reads: None) -> None:
    people = list(range(1, 9))
    for person in people:
        on = person % 4 > 0
        for edge in (Edge(person, ME, on, person), Edge(ME, person, not on, person)):
            kind = EventKind.FOLLOW if edge.on else EventKind.UNFOLLOW
            await store.write_edge(edge, ids.event(kind, edge.follower_id, edge.followee_id, edge.version_us))
    assert await total(store, ME, CountKind.FOLLOWERS, people) == 6
    assert await total(store, ME, CountKind.FOLLOWING, people) == 2
    assert await total(store, YOU, CountKind.FOLLOWERS, people) == 0
    assert await total(store, 4, CountKind.FOLLOWERS, [ME]) == 1


async def test_tweets_with_a_body_are_counted_by_part(store: Store, ids: Ids, short_reads: None) -> None:
    new = [ids.mint(age_s) for age_s in range(5)]
    old = [ids.mint(400 * DAY_S + age_s) for age_s in range(7)]
    for tweet_id in (*new, *old):
        await post(store, ids, tweet_id)
    for tweet_id in (old[0], old[3], new[1]):
        await delete(store, ids, tweet_id)
    assert await total(store, ME, CountKind.TWEETS, new) == 4
    assert await total(store, ME, CountKind.TWEETS, old) == 5
    assert await total(store, ME, CountKind.TWEETS, [ids.mint(800 * DAY_S)]) == 0
    assert await total(store, YOU, CountKind.TWEETS, new) == 0


@pytest.mark.parametrize("kind", CountKind)
async def test_a_part_that_holds_nothing_counts_nothing(store: Store, ids: Ids, kind: CountKind) -> None:
    await post(store, ids, ids.mint())
    edge = Edge(ME, ME + 1, True, 5)
    await store.write_edge(edge, ids.event(EventKind.FOLLOW, ME, ME + 1, 5))
    assert await store.recount(ME, kind, 77) == 0
    assert await store.recount(ME + 1, kind, 77) == 0
