"""Tweets by id and by author."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice

from rookery_server.domain.events import Event
from rookery_server.store.interface import TweetRow, UserTweetIds, UserTweets
from rookery_server.store.memory.cells import Cell, Mutation, Span
from rookery_server.store.memory.role import Role


def _row(tweet_id: int, cell: Cell) -> TweetRow:
    author_id, body = cell.value
    return TweetRow(tweet_id, author_id, body, cell.timestamp_us)


class TweetsRole(Role):
    async def post(self, row: TweetRow, event: Event) -> None:
        cell = Cell((row.author_id, row.body), row.version_us)
        await self._batch("post", [*self._both(row.tweet_id, row.author_id, cell), self._event(event)])

    async def delete(self, tweet_id: int, author_id: int, event: Event) -> None:
        cell = Cell((author_id, b""), event.version)
        await self._batch("delete", [*self._both(tweet_id, author_id, cell), self._event(event)])

    def _both(self, tweet_id: int, author_id: int, cell: Cell) -> tuple[Mutation, Mutation]:
        return Mutation("tweets", tweet_id, tweet_id, cell), Mutation("user_tweets", author_id, tweet_id, cell)

    async def get_tweets(self, tweet_ids: Sequence[int]) -> dict[int, TweetRow]:
        found = await self._each("get_tweets", "tweets", ((id_, id_) for id_ in tweet_ids))
        return {id_: _row(id_, cell) for (_, id_), cell in found.items()}

    async def user_tweets(self, user_id: int, before_id: int | None, limit: int) -> UserTweets:
        rows = await self._rows("user_tweets", "user_tweets", user_id, _newest(before_id, limit))
        return UserTweets(tuple(_row(*row) for row in islice(rows.items(), limit)), len(rows) <= limit)

    async def user_tweet_ids(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        rows = await self._rows("user_tweet_ids", "user_tweets", user_id, _newest(before_id, limit))
        return UserTweetIds(tuple(islice(rows, limit)), len(rows) <= limit)

    async def tweet_ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        # Each at its own moment, as the real one asks each partition's replicas by themselves.
        reads = (self.user_tweet_ids(user_id, before_id, limit) for user_id, before_id in before_ids.items())
        return dict(zip(before_ids, await asyncio.gather(*reads), strict=True))

    async def user_tweet(self, user_id: int, tweet_id: int) -> TweetRow | None:
        cell = await self._row("user_tweet", "user_tweets", user_id, tweet_id)
        return None if cell is None else _row(tweet_id, cell)


def _newest(before_id: int | None, limit: int) -> Span:
    """One row more than asked for tells whether there is an older one."""
    return Span(below=before_id, limit=limit + 1, newest_first=True)
