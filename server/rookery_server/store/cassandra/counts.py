"""`counts`: what a part of someone's rows came to at a time, and the counting of a part."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain import ids, limits
from rookery_server.store.cassandra import buckets
from rookery_server.store.cassandra.graph import FOLLOWERS_PAGE, FOLLOWING_PAGE
from rookery_server.store.cassandra.session import CassandraSession, Row, Values
from rookery_server.store.cassandra.statements import Statement, read, write
from rookery_server.store.cassandra.states import ON
from rookery_server.store.interface import Count, CountKind

COUNTS_READ = read("counts_read", "SELECT kind, part, value, WRITETIME(value) FROM counts WHERE subject_id = ?")
COUNT_PUT = write(
    "count_put", "INSERT INTO counts (subject_id, kind, part, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
TWEETS_COUNT_PAGE = read(
    "tweets_count_page",
    "SELECT tweet_id, body FROM user_tweets WHERE user_id = ? AND bucket = ? AND tweet_id < ? LIMIT ?",
)
STATEMENTS = (COUNTS_READ, COUNT_PUT, TWEETS_COUNT_PAGE)

_BODIES_PAGE = 1_000  # some hundred kilobytes of bodies; at the posting limit a bucket takes sixty such reads
_KINDS = {kind.value: kind for kind in CountKind}


class CountTables:
    _session: CassandraSession

    def count_parts(self, kind: CountKind, row_id: int) -> tuple[int, ...]:
        match kind:
            case CountKind.FOLLOWERS:
                return buckets.FOLLOWER_SHARDS
            case CountKind.FOLLOWING:
                return (0,)
            case CountKind.TWEETS:
                return (buckets.bucket_of(row_id),)

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        unique = list(dict.fromkeys(subject_ids))
        answers = await self._session.execute_many(COUNTS_READ, [(id_,) for id_ in unique])
        # A kind of a later release is nothing to this one.
        found = {
            id_: tuple(Count(id_, _KINDS[kind], *row) for kind, *row in rows if kind in _KINDS)
            for id_, rows in zip(unique, answers, strict=True)
        }
        return {id_: counts for id_, counts in found.items() if counts}

    async def write_count(self, count: Count) -> None:
        values = (count.subject_id, count.kind.value, count.part, count.value, count.counted_us)
        await self._session.execute(COUNT_PUT, values)

    async def recount(self, subject_id: int, kind: CountKind, part: int) -> int:
        match kind:
            case CountKind.FOLLOWERS:
                return await self._edges_on(FOLLOWERS_PAGE, (subject_id, part))
            case CountKind.FOLLOWING:
                return await self._edges_on(FOLLOWING_PAGE, (subject_id,)) if part == 0 else 0
            case CountKind.TWEETS:
                return await self._bodies(subject_id, part)

    async def _edges_on(self, page: Statement, partition: Values) -> int:
        total, above = 0, -1
        while True:
            rows: list[Row] = await self._session.execute(page, (*partition, above, limits.ROWS_A_PAGE))
            total += sum(1 for row in rows if row[1] == ON)
            if len(rows) < limits.ROWS_A_PAGE:
                return total
            above = rows[-1][0]

    async def _bodies(self, author_id: int, bucket: int) -> int:
        total, below = 0, ids.MAX_ID
        while True:
            rows = await self._session.execute(TWEETS_COUNT_PAGE, (author_id, bucket, below, _BODIES_PAGE))
            total += sum(1 for _, body in rows if body)
            if len(rows) < _BODIES_PAGE:
                return total
            below = rows[-1][0]
