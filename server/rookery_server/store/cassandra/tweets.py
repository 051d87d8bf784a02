"""`tweets`, `user_tweets`, `user_tweet_buckets`: bodies by id and by author."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from rookery_server.domain import ids
from rookery_server.domain.events import Event
from rookery_server.store.cassandra.buckets import bucket_of
from rookery_server.store.cassandra.many_tweets import ManyTweetTables
from rookery_server.store.cassandra.outbox import OutboxTables
from rookery_server.store.cassandra.session import Row, Values
from rookery_server.store.cassandra.statements import Statement, read, write
from rookery_server.store.interface import TweetRow, UserTweetIds, UserTweets

TWEET_PUT = write("tweet_put", "INSERT INTO tweets (tweet_id, author_id, body) VALUES (?, ?, ?) USING TIMESTAMP ?")
USER_TWEET_PUT = write(
    "user_tweet_put", "INSERT INTO user_tweets (user_id, bucket, tweet_id, body) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
BUCKET_PUT = write("bucket_put", "INSERT INTO user_tweet_buckets (user_id, bucket) VALUES (?, ?) USING TIMESTAMP ?")
TWEET_GET = read("tweet_get", "SELECT author_id, body, WRITETIME(body) FROM tweets WHERE tweet_id = ?")
BUCKETS_READ = read("buckets_read", "SELECT bucket FROM user_tweet_buckets WHERE user_id = ? AND bucket <= ?")
USER_TWEETS_READ = read(
    "user_tweets_read",
    "SELECT tweet_id, body, WRITETIME(body) FROM user_tweets WHERE user_id = ? AND bucket = ? AND tweet_id < ? LIMIT ?",
)
USER_TWEET_IDS_READ = read(
    "user_tweet_ids_read",
    "SELECT tweet_id FROM user_tweets WHERE user_id = ? AND bucket = ? AND tweet_id < ? LIMIT ?",
)
USER_TWEET_GET = read(
    "user_tweet_get",
    "SELECT tweet_id, body, WRITETIME(body) FROM user_tweets WHERE user_id = ? AND bucket = ? AND tweet_id = ?",
)
STATEMENTS = (
    TWEET_PUT, USER_TWEET_PUT, BUCKET_PUT, TWEET_GET, BUCKETS_READ, USER_TWEETS_READ, USER_TWEET_IDS_READ,
    USER_TWEET_GET,
)  # fmt: skip

_BUCKETS_KNOWN = 100_000  # authors of the last weeks; ~15 MB full.  A forgotten one costs one more small row.
_BUCKETS_AT_ONCE = 4  # a quiet author's page spreads over months: go through them four at a time, after the first
_DELETED = b""


class KnownBuckets:
    """The (author, bucket) pairs whose row is known to be stored, the least recently used forgotten first."""

    def __init__(self, size: int = _BUCKETS_KNOWN) -> None:
        self._size = size
        self._pairs: OrderedDict[tuple[int, int], None] = OrderedDict()

    def __contains__(self, pair: tuple[int, int]) -> bool:
        if pair not in self._pairs:
            return False
        self._pairs.move_to_end(pair)
        return True

    def add(self, pair: tuple[int, int]) -> None:
        self._pairs[pair] = None
        self._pairs.move_to_end(pair)
        if len(self._pairs) > self._size:
            self._pairs.popitem(last=False)


class TweetTables(ManyTweetTables, OutboxTables):
    _known_buckets: KnownBuckets

    async def post(self, row: TweetRow, event: Event) -> None:
        pair = (row.author_id, bucket_of(row.tweet_id))
        writes = [*_put(row.tweet_id, row.author_id, row.body, row.version_us), self.outbox_put(event)]
        if pair not in self._known_buckets:
            writes.append((BUCKET_PUT, (*pair, row.version_us)))
        await self._session.batch("post_batch", writes)
        self._known_buckets.add(pair)  # only now: an unknown outcome may have stored nothing

    async def delete(self, tweet_id: int, author_id: int, event: Event) -> None:
        writes = (*_put(tweet_id, author_id, _DELETED, event.version), self.outbox_put(event))
        await self._session.batch("delete_batch", writes)

    async def get_tweets(self, tweet_ids: Sequence[int]) -> dict[int, TweetRow]:
        unique = list(dict.fromkeys(tweet_ids))
        answers = await self._session.execute_many(TWEET_GET, [(id_,) for id_ in unique])
        return {id_: TweetRow(id_, *rows[0]) for id_, rows in zip(unique, answers, strict=True) if rows}

    async def user_tweets(self, user_id: int, before_id: int | None, limit: int) -> UserTweets:
        rows, end = await self._newest(USER_TWEETS_READ, user_id, before_id, limit)
        return UserTweets(tuple(TweetRow(row[0], user_id, row[1], row[2]) for row in rows), end)

    async def user_tweet_ids(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        rows, end = await self._newest(USER_TWEET_IDS_READ, user_id, before_id, limit)
        return UserTweetIds(tuple(row[0] for row in rows), end)

    async def user_tweet(self, user_id: int, tweet_id: int) -> TweetRow | None:
        pair = (user_id, bucket_of(tweet_id))
        rows = await self._session.execute(USER_TWEET_GET, (*pair, tweet_id))
        if not rows:
            return None
        row = TweetRow(tweet_id, user_id, rows[0][1], rows[0][2])
        if pair not in self._known_buckets:
            # The batch may have shown this row and not yet its bucket, without which no read of the author's rows finds
            # it: written again, since the row is there to stay.
            await self._session.execute(BUCKET_PUT, (*pair, row.version_us))
            self._known_buckets.add(pair)
        return row

    async def _newest(
        self, statement: Statement, user_id: int, before_id: int | None, limit: int
    ) -> tuple[list[Row], bool]:
        """At most `limit` rows below `before_id`, newest first, and whether nothing is older than the last."""
        below = ids.MAX_ID if before_id is None else before_id
        buckets = [row[0] for row in await self._session.execute(BUCKETS_READ, (user_id, bucket_of(below)))]
        rows: list[Row] = []
        at, step = 0, 1
        while at < len(buckets) and len(rows) <= limit:
            # One row more than asked for tells whether there is an older one.
            keys = [(user_id, bucket, below, limit + 1 - len(rows)) for bucket in buckets[at : at + step]]
            for found in await self._session.execute_many(statement, keys):
                rows.extend(found)
            at, step = at + step, _BUCKETS_AT_ONCE
        return rows[:limit], len(rows) <= limit


def _put(tweet_id: int, author_id: int, body: bytes, version_us: int) -> tuple[tuple[Statement, Values], ...]:
    return (
        (TWEET_PUT, (tweet_id, author_id, body, version_us)),
        (USER_TWEET_PUT, (author_id, bucket_of(tweet_id), tweet_id, body, version_us)),
    )
