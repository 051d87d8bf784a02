"""A client that knows nothing but gRPC and server reflection can find, call and understand the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.e2e.conftest import Running

ACTING = (("rookery-acting-user", "1"),)


class Stranger:
    """Learns everything from the server."""

    def __init__(self, channel: grpc.Channel):
        self._channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = DescriptorPool(self.database)

    def call(self, service: str, name: str, fields: dict[str, Any], metadata: Any = ACTING) -> Any:
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = GetMessageClass(method.input_type)(**fields)
        reply = GetMessageClass(method.output_type)
        stub: grpc.UnaryUnaryMultiCallable[Message, Message] = self._channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        return stub(request, timeout=10, metadata=metadata)

    def open(self, service: str, name: str, fields: dict[str, Any], metadata: Any) -> Any:
        """A stream: to be iterated, and cancelled."""
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        assert method.server_streaming
        request = GetMessageClass(method.input_type)(**fields)
        reply = GetMessageClass(method.output_type)
        stub: grpc.UnaryStreamMultiCallable[Message, Message] = self._channel.unary_stream(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        return stub(request, timeout=30, metadata=metadata)


@pytest.fixture
def stranger(running: Running) -> Iterator[Stranger]:
    with grpc.insecure_channel(running.server.target) as channel:
        yield Stranger(channel)


def test_it_finds_every_service(stranger: Stranger) -> None:
    found = set(stranger.database.get_services())
    nouns = ("User", "Tweet", "Graph", "Timeline", "Admin")
    assert {f"rookery.v1.{noun}Service" for noun in nouns} <= found


def test_it_signs_up_posts_and_reads(stranger: Stranger, unique: str) -> None:
    user = stranger.call("rookery.v1.UserService", "CreateUser", {"username": unique}).user
    acting = (("rookery-acting-user", str(user.id)),)
    posted = stranger.call("rookery.v1.TweetService", "CreateTweet", {"text": "hello, stranger"}, acting).tweet
    page = stranger.call("rookery.v1.TimelineService", "GetHomeTimeline", {"page_size": 5}, acting)
    assert [(tweet.id, tweet.text) for tweet in page.tweets] == [(posted.id, "hello, stranger")]
    assert page.info.end_of_history


def test_it_keeps_a_home_open_and_resumes_it(stranger: Stranger, unique: str) -> None:
    user = stranger.call("rookery.v1.UserService", "CreateUser", {"username": unique}).user
    acting = (("rookery-acting-user", str(user.id)),)
    timelines = "rookery.v1.TimelineService"
    stream = stranger.open(timelines, "StreamHomeTimeline", {}, acting)
    first = next(stream)
    assert (list(first.tweets), bool(first.resume_token)) == ([], True)
    posted = stranger.call("rookery.v1.TweetService", "CreateTweet", {"text": "live, stranger"}, acting).tweet
    assert [tweet.id for tweet in next(message for message in stream if message.tweets).tweets] == [posted.id]
    stream.cancel()
    resumed = stranger.open(timelines, "StreamHomeTimeline", {"resume_token": first.resume_token}, acting)
    assert [tweet.id for tweet in next(message for message in resumed if message.tweets).tweets] == [posted.id]
    resumed.cancel()


@pytest.mark.parametrize(
    ("service", "method", "fields", "code", "reason"),
    [
        ("UserService", "GetUser", {"id": 5}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ("UserService", "GetUser", {"id": -1}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ("UserService", "CreateUser", {"username": "no spaces"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_TEXT"),
        ("TweetService", "CreateTweet", {"text": ""}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_TEXT"),
        ("TweetService", "GetTweet", {"id": 7}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ("GraphService", "Follow", {"user_id": 1}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (
            "TimelineService",
            "GetHomeTimeline",
            {"page_token": "made up"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_TOKEN",
        ),
        ("GraphService", "Block", {"user_id": 1}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ("GraphService", "ListBlocks", {"user_id": 2}, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
        ("AdminService", "VerifyHomeTimeline", {"user_id": 5}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ("TimelineService", "GetHomeTimeline", {"user_id": 2}, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    ],
)
def test_every_error_shows_an_error_info(
    stranger: Stranger, service: str, method: str, fields: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stranger.call(f"rookery.v1.{service}", method, fields)
    error: Any = raised.value
    assert error.code() is code
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["outcome"]) == (reason, "rookery", "none")
