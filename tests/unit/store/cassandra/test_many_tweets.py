"""How many partitions a request names, how many requests are under way, and that nobody is asked for what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rookery_server.store.cassandra.many_tweets import (
    BUCKETS_OF_MANY,
    CALLS_AT_ONCE,
    FEW,
    PARTITIONS_AT_ONCE,
    ManyTweetTables,
)
from rookery_server.store.cassandra.statements import Statement
from rookery_server.store.interface import UserTweetIds

_FIRST_IN = 1 << 53
"""The lowest id of bucket 1."""


class Ring:
    """Authors' ids by bucket.  `asked`: what every request named; answers wait while `gate` is closed."""

    def __init__(self, ids: dict[int, list[int]]) -> None:
        self.ids, self.gate = ids, asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.under_way = self.most = 0

    async def execute_many(self, statement: Statement, keys: Sequence[tuple[Any, ...]], at_once: int) -> list[Any]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        self.under_way -= 1
        self.asked += [(statement.name, key) for key in keys]
        return [self._buckets(*key) if statement is BUCKETS_OF_MANY else self._rows(*key) for key in keys]

    def _buckets(self, users: Sequence[int], up_to: int) -> list[tuple[int, int]]:
        found = [(user, {id_ // _FIRST_IN for id_ in self.ids[user]}) for user in users]
        return [(user, bucket) for user, some in found for bucket in sorted(some, reverse=True) if bucket <= up_to]

    def _rows(self, users: Sequence[int], bucket: int, below: int, limit: int) -> list[tuple[int, int]]:
        of = {user: [id_ for id_ in self.ids[user] if id_ // _FIRST_IN == bucket and id_ < below] for user in users}
        return [(user, id_) for user, some in of.items() for id_ in sorted(some, reverse=True)[:limit]]


class Tables(ManyTweetTables):
    def __init__(self, ring: Ring) -> None:
        self._session = ring  # type: ignore[assignment]
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)


def quiet_for(months: int) -> list[int]:
    return [month * _FIRST_IN + 7 for month in range(1, months + 1)]


async def test_authors_who_posted_lately_are_two_requests_for_each_part() -> None:
    users = range(2 * PARTITIONS_AT_ONCE + 1)
    ring = Ring({user: [5 * _FIRST_IN + user] for user in users})
    found = await Tables(ring).tweet_ids_by_user(dict.fromkeys(users), 200)
    assert found == {user: UserTweetIds((5 * _FIRST_IN + user,), True) for user in users}
    assert len(ring.asked) == 6
    assert all(len(key[0]) <= PARTITIONS_AT_ONCE for _, key in ring.asked)


async def test_authors_who_posted_nothing_are_asked_for_no_rows() -> None:
    ring = Ring({1: [], 2: []})
    assert await Tables(ring).tweet_ids_by_user({1: None, 2: None}, 5) == dict.fromkeys((1, 2), UserTweetIds((), True))
    assert len(ring.asked) == 1


async def test_the_newest_bucket_first_then_four_at_a_time_until_there_is_enough() -> None:
    ring = Ring({1: quiet_for(30)})
    found = await Tables(ring).tweet_ids_by_user({1: None}, 3)
    assert found[1] == UserTweetIds(tuple(quiet_for(30)[:-4:-1]), False)
    assert [key[1] for name, key in ring.asked if name != BUCKETS_OF_MANY.name] == [30, 29, 28, 27, 26]


async def test_different_places_are_different_requests() -> None:
    ring = Ring(dict.fromkeys((1, 2, 3), quiet_for(3)))
    found = await Tables(ring).tweet_ids_by_user({1: 3 * _FIRST_IN, 2: 3 * _FIRST_IN, 3: 2 * _FIRST_IN}, 1)
    assert found == {
        1: UserTweetIds((2 * _FIRST_IN + 7,), False),
        2: UserTweetIds((2 * _FIRST_IN + 7,), False),
        3: UserTweetIds((_FIRST_IN + 7,), True),
    }


async def test_two_large_calls_at_once_the_others_in_their_turn_and_small_ones_at_once() -> None:
    many = dict.fromkeys(range(FEW + 1))
    ring = Ring(dict.fromkeys(many, quiet_for(1)))
    ring.gate.clear()
    tables = Tables(ring)
    calls = [asyncio.create_task(tables.tweet_ids_by_user(many, 1)) for _ in range(10)]
    while not ring.under_way:  # noqa: ASYNC110  (nothing tells that it asks)
        await asyncio.sleep(0)
    few = asyncio.create_task(tables.tweet_ids_by_user(dict.fromkeys(range(FEW)), 1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert ring.under_way == CALLS_AT_ONCE + 1
    ring.gate.set()
    answers = await asyncio.gather(*calls)
    assert ring.most == CALLS_AT_ONCE + 1
    assert answers == [answers[0]] * 10
    assert (await few).items() < answers[0].items()
