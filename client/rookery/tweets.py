"""Calls about tweets."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from rookery.calls import Calls
from rookery.transport import READ_S, WRITE_S
from rookery.v1 import (
    tweets_pb2,
    tweets_pb2_grpc,
)


class TweetCalls(Calls):
    async def create_tweet(
        self,
        text: str,
        *,
        in_reply_to_id: int = 0,
        quoted_id: int = 0,
        media: Iterable[str] = (),
        request_id: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> tweets_pb2.CreateTweetResponse:
        request = tweets_pb2.CreateTweetRequest(
            text=text,
            in_reply_to_id=in_reply_to_id,
            quoted_id=quoted_id,
            media=[tweets_pb2.Media(reference=reference) for reference in media],
            request_id=request_id or str(uuid.uuid4()),
        )
        reply = tweets_pb2.CreateTweetResponse
        return await self._call(tweets_pb2_grpc.TweetServiceStub, "CreateTweet", request, reply, timeout_s)

    async def delete_tweet(self, tweet_id: int, *, timeout_s: float = WRITE_S) -> tweets_pb2.DeleteTweetResponse:
        request, reply = tweets_pb2.DeleteTweetRequest(id=tweet_id), tweets_pb2.DeleteTweetResponse
        return await self._call(tweets_pb2_grpc.TweetServiceStub, "DeleteTweet", request, reply, timeout_s)

    async def get_tweet(
        self, tweet_id: int, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> tweets_pb2.Tweet:
        request = tweets_pb2.GetTweetRequest(id=tweet_id, consistency_token=consistency_token)
        reply = tweets_pb2.GetTweetResponse
        return (await self._call(tweets_pb2_grpc.TweetServiceStub, "GetTweet", request, reply, timeout_s)).tweet

    async def batch_get_tweets(
        self, ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, tweets_pb2.Tweet | None]:
        """At most 100; None for one that does not exist, was deleted or is hidden."""
        request = tweets_pb2.BatchGetTweetsRequest(ids=ids, consistency_token=consistency_token)
        reply = tweets_pb2.BatchGetTweetsResponse
        answer = await self._call(tweets_pb2_grpc.TweetServiceStub, "BatchGetTweets", request, reply, timeout_s)
        return {result.id: result.tweet if result.HasField("tweet") else None for result in answer.results}
