"""The newest ids of many authors with few requests (docs/decisions/028-many-authors-in-one-request.md).

A request names up to 64 partitions with `IN`.  The coordinator reads each from its own replicas, at their quorum and
repaired like any other, all of them at the same time, and answers when it has the last; nothing is promised between
two partitions, as nothing is between two requests.  No answer is paged: it has 64 × (limit + 1) rows at most.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

from rookery_server.domain import ids, limits
from rookery_server.store.cassandra.buckets import bucket_of
from rookery_server.store.cassandra.session import CassandraSession, Values
from rookery_server.store.cassandra.statements import read_many
from rookery_server.store.interface import UserTweetIds

BUCKETS_OF_MANY = read_many(
    "buckets_of_many", "SELECT user_id, bucket FROM user_tweet_buckets WHERE user_id IN ? AND bucket <= ?"
)
TWEET_IDS_OF_MANY = read_many(
    "tweet_ids_of_many",
    "SELECT user_id, tweet_id FROM user_tweets WHERE user_id IN ? AND bucket = ? AND tweet_id < ?"
    " PER PARTITION LIMIT ?",
)
STATEMENTS = (BUCKETS_OF_MANY, TWEET_IDS_OF_MANY)

PARTITIONS_AT_ONCE = 64
"""In one request.  A partition costs half as much here as in requests of 16; larger ones save little more and
hold up a coordinator longer, whose one slow replica holds up all of them."""
_REQUESTS_AT_ONCE = 4
"""Of one call."""
CALLS_AT_ONCE = 2
"""Of a process; further ones wait for their turn.  Whoever loads thousands asks for some at a time, so nobody waits for
all of them.  After a cache was emptied everybody loads at once: what is begun gets done, instead of all of it late, and
the ring has no more partitions to read than from as many single requests as a process may have under way."""
FEW = limits.INNER_READS
"""A call for so few waits for nobody: a page that lacks a little of some authors is no load."""
_BUCKETS_AT_ONCE = 4  # as for one author: the newest, then four at a time


class _Walk:
    """One author's buckets, newest first, and the ids found in those that were read."""

    __slots__ = ("at", "below", "buckets", "ids")

    def __init__(self, below: int) -> None:
        self.below, self.at = below, 0
        self.buckets: list[int] = []
        self.ids: list[int] = []

    def next_buckets(self) -> list[int]:
        step = _BUCKETS_AT_ONCE if self.at else 1
        following = self.buckets[self.at : self.at + step]
        self.at += step
        return following


class ManyTweetTables:
    _session: CassandraSession
    _calls: asyncio.Semaphore

    async def tweet_ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        async with self._calls if len(before_ids) > FEW else nullcontext():
            return await self._ids_by_user(before_ids, limit)

    async def _ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        walks = {id_: _Walk(ids.MAX_ID if before is None else before) for id_, before in before_ids.items()}
        await self._find_buckets(walks)
        # One row more than asked for tells whether there is an older one.
        while under_way := [
            id_ for id_, walk in walks.items() if walk.at < len(walk.buckets) and len(walk.ids) <= limit
        ]:
            await self._read_on(walks, under_way, limit + 1)
        return {id_: UserTweetIds(tuple(walk.ids[:limit]), len(walk.ids) <= limit) for id_, walk in walks.items()}

    async def _find_buckets(self, walks: Mapping[int, _Walk]) -> None:
        users_up_to: defaultdict[int, list[int]] = defaultdict(list)
        for user_id, walk in walks.items():
            users_up_to[bucket_of(walk.below)].append(user_id)
        keys = [(some, bucket) for bucket, users in users_up_to.items() for some in _parts(users)]
        for rows in await self._session.execute_many(BUCKETS_OF_MANY, keys, _REQUESTS_AT_ONCE):
            for user_id, bucket in rows:
                walks[user_id].buckets.append(bucket)  # of one user newest first, as they are clustered

    async def _read_on(self, walks: Mapping[int, _Walk], under_way: Iterable[int], limit: int) -> None:
        """Reads the next buckets of each."""
        users_in: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for user_id in under_way:
            walk = walks[user_id]
            for bucket in walk.next_buckets():
                users_in[bucket, walk.below].append(user_id)
        # Newest bucket first, so that what is found of one author is in order.
        wanted = sorted(users_in.items(), reverse=True)
        keys: list[Values] = [(some, *where, limit) for where, users in wanted for some in _parts(users)]
        for rows in await self._session.execute_many(TWEET_IDS_OF_MANY, keys, _REQUESTS_AT_ONCE):
            for user_id, tweet_id in rows:
                walks[user_id].ids.append(tweet_id)


def _parts(users: Sequence[int]) -> list[Sequence[int]]:
    return [users[at : at + PARTITIONS_AT_ONCE] for at in range(0, len(users), PARTITIONS_AT_ONCE)]
