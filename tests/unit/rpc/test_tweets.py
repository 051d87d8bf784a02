from __future__ import annotations

import pytest

from rookery.v1 import common_pb2, tweets_pb2, tweets_pb2_grpc
from rookery_server.domain.models import Tweet
from rookery_server.rpc.convert import ProtoTweetCodec
from rookery_server.services.posting import Posted
from rookery_server.services.tokens import tweet_token
from rookery_server.services.tweets import Draft, Removed
from tests.unit.rpc.use_cases import AS_5, Fakes, given

BODY = ProtoTweetCodec().encode(Tweet(77, 5, "hello", 1_700_000_000_000))
TOKEN = tweet_token(5, 77, 1_700_000_000_001)


@pytest.fixture
def stub(fakes: Fakes) -> tweets_pb2_grpc.TweetServiceAsyncStub:
    return fakes.stub(tweets_pb2_grpc.TweetServiceStub)  # type: ignore[no-any-return]


async def test_post(fakes: Fakes, stub: tweets_pb2_grpc.TweetServiceAsyncStub) -> None:
    fakes.tweets.create.return_value = Posted(77, BODY, TOKEN)
    media = [tweets_pb2.Media(reference="m:1")]
    request = tweets_pb2.CreateTweetRequest(text="hello", in_reply_to_id=3, quoted_id=4, media=media, request_id="r")
    reply = await stub.CreateTweet(request, metadata=AS_5)
    call, draft, request_id = given(fakes.tweets.create)
    assert (call.caller_id, draft, request_id) == (5, Draft("hello", 3, 4, ("m:1",)), "r")
    assert reply.tweet == tweets_pb2.Tweet.FromString(BODY)
    assert fakes.signer.consistency(reply.consistency_token) == TOKEN


@pytest.mark.parametrize("settled", [True, False])
async def test_delete(fakes: Fakes, stub: tweets_pb2_grpc.TweetServiceAsyncStub, settled: bool) -> None:
    fakes.tweets.delete.return_value = Removed(settled, TOKEN)
    reply = await stub.DeleteTweet(tweets_pb2.DeleteTweetRequest(id=77), metadata=AS_5)
    assert given(fakes.tweets.delete)[1:] == (77,)
    assert reply.settled is settled
    assert fakes.signer.consistency(reply.consistency_token) == TOKEN


async def test_get_hands_the_token_down(fakes: Fakes, stub: tweets_pb2_grpc.TweetServiceAsyncStub) -> None:
    fakes.tweets.get.return_value = BODY
    posted = Posted(77, BODY, TOKEN)
    fakes.tweets.create.return_value = posted
    token = (await stub.CreateTweet(tweets_pb2.CreateTweetRequest(text="x"), metadata=AS_5)).consistency_token
    reply = await stub.GetTweet(tweets_pb2.GetTweetRequest(id=77, consistency_token=token))
    assert reply.tweet.text == "hello"
    call, tweet_id, handed = given(fakes.tweets.get)
    assert (call.caller_id, tweet_id, handed) == (0, 77, TOKEN)


async def test_a_batch_answers_each_id(fakes: Fakes, stub: tweets_pb2_grpc.TweetServiceAsyncStub) -> None:
    fakes.tweets.batch_get.return_value = {78: None, 77: BODY}
    reply = await stub.BatchGetTweets(tweets_pb2.BatchGetTweetsRequest(ids=[78, 77]))
    absent, found = reply.results
    assert (absent.id, absent.absent) == (78, common_pb2.ABSENCE_REASON_NOT_FOUND)
    assert (found.id, found.tweet.text) == (77, "hello")


async def test_an_empty_batch_reads_nothing(fakes: Fakes, stub: tweets_pb2_grpc.TweetServiceAsyncStub) -> None:
    assert not (await stub.BatchGetTweets(tweets_pb2.BatchGetTweetsRequest())).results
    assert not fakes.tweets.batch_get.await_args_list
