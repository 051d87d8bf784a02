"""A logged batch is atomic in the end, not isolated: what may show of it early must not be taken for all of it."""

from __future__ import annotations

import time

from rookery_server.domain import ids
from rookery_server.store.cassandra import tweets
from rookery_server.store.cassandra.buckets import bucket_of
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.interface import UserTweetIds

AUTHOR = 77


async def test_a_row_that_was_seen_is_found_by_every_later_read_though_its_bucket_is_still_on_its_way(
    empty_keyspace: CassandraSession, cassandra_store: CassandraStore
) -> None:
    """Else a worker would take the event for applied, and a list built a moment later would lack the tweet for good."""
    tweet = ids.compose(int(time.time() * 1000), 1, 0)
    version = ids.write_timestamp_us(tweet)
    row = (AUTHOR, bucket_of(tweet), tweet, b"x", version)
    await empty_keyspace.execute(tweets.USER_TWEET_PUT, row)
    assert await cassandra_store.user_tweet(AUTHOR, tweet) is not None
    assert await cassandra_store.user_tweet_ids(AUTHOR, None, 10) == UserTweetIds((tweet,), True)
