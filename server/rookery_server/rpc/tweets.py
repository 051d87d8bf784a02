"""TweetService.  A tweet's bytes go from the store into the reply untouched."""

from __future__ import annotations

from rookery.v1 import tweets_pb2 as pb
from rookery_server.domain.frames import frame
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Tokens
from rookery_server.services.calls import Call
from rookery_server.services.tweets import Draft, Tweets


class TweetServicer:
    def __init__(self, tweets: Tweets, tokens: Tokens):
        self._tweets, self._tokens = tweets, tokens

    async def CreateTweet(self, request: pb.CreateTweetRequest, call: Call) -> bytes:
        media = tuple(media.reference for media in request.media)
        draft = Draft(request.text, request.in_reply_to_id, request.quoted_id, media)
        posted = await self._tweets.create(call, draft, request.request_id)
        rest = pb.CreateTweetResponse(consistency_token=self._tokens.of_write(posted.token))
        return frame(posted.body) + rest.SerializeToString()  # tweet is field 1, as in pages

    async def DeleteTweet(self, request: pb.DeleteTweetRequest, call: Call) -> pb.DeleteTweetResponse:
        removed = await self._tweets.delete(call, request.id)
        return pb.DeleteTweetResponse(settled=removed.settled, consistency_token=self._tokens.of_write(removed.token))

    async def GetTweet(self, request: pb.GetTweetRequest, call: Call) -> bytes:
        token = self._tokens.consistency(request.consistency_token)
        return frame(await self._tweets.get(call, request.id, token))

    async def BatchGetTweets(self, request: pb.BatchGetTweetsRequest, call: Call) -> bytes:
        token = self._tokens.consistency(request.consistency_token)
        found = await self._tweets.batch_get(call, request.ids, token) if request.ids else {}
        return b"".join(convert.tweet_result(id_, body) for id_, body in found.items())
