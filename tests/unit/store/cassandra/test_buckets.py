"""Where rows are: round trips across every edge."""

from __future__ import annotations

import random

import pytest

from rookery_server.domain import ids
from rookery_server.store.cassandra.buckets import (
    DAY_MS,
    FOLLOWER_SHARD,
    FOLLOWER_SHARDS,
    bucket_of,
    day_of,
    first_id_after,
    merge_shards,
)  # fmt: skip


@pytest.mark.parametrize("bucket", [0, 1, 2, 200, 1022])
def test_a_bucket_ends_where_the_next_begins(bucket: int) -> None:
    edge = first_id_after(bucket)
    assert bucket_of(edge - 1) == bucket
    assert bucket_of(edge) == bucket + 1


def test_the_outermost_ids_have_buckets_that_fit_an_int() -> None:
    assert bucket_of(1) == 0
    assert bucket_of(ids.MAX_ID) == 1023


def test_a_bucket_is_24_9_days() -> None:
    assert ids.time_ms(first_id_after(7)) - ids.time_ms(first_id_after(6)) == 1 << 31


def test_buckets_follow_the_order_of_ids() -> None:
    some = sorted(random.Random(1).randrange(1, ids.MAX_ID) for _ in range(1000))
    assert [bucket_of(id_) for id_ in some] == sorted(bucket_of(id_) for id_ in some)


def test_days_change_at_midnight() -> None:
    assert [day_of(ms) for ms in (DAY_MS - 1, DAY_MS, 2 * DAY_MS - 1)] == [0, 1, 1]


def test_the_shard_written_is_among_those_read() -> None:
    assert FOLLOWER_SHARD in FOLLOWER_SHARDS


def test_shards_at_their_end_are_merged_whole() -> None:
    assert merge_shards([[1, 5], [], [2, 9]], limit=3) == ((1, 2, 5, 9), None)


def test_a_full_shard_bounds_what_is_known() -> None:
    assert merge_shards([[1, 5, 6], [2, 9]], limit=3) == ((1, 2, 5, 6), 6)
    assert merge_shards([[1, 5, 6], [2, 3, 4]], limit=3) == ((1, 2, 3, 4), 4)


@pytest.mark.parametrize("seed", range(20))
def test_pages_over_shards_give_every_id_once_in_order(seed: int) -> None:
    chance = random.Random(seed)
    everyone = sorted(chance.sample(range(1, 10_000), 500))
    shards = [[id_ for id_ in everyone if id_ % 7 == shard] for shard in range(7)]
    limit, after, seen = chance.randint(1, 60), 0, list[int]()
    while True:
        page, next_after = merge_shards([[id_ for id_ in s if id_ > after][:limit] for s in shards], limit)
        seen.extend(page)
        if next_after is None:
            break
        assert next_after > after
        after = next_after
    assert seen == everyone
