from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rookery import errors as client_errors
from rookery.v1 import tweets_pb2
from rookery_server.domain import limits
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.rpc.app import NotOnLoopback, RpcServer
from rookery_server.rpc.identity import TrustingIdentity
from rookery_server.rpc.methods import SERVICES, BadContract, methods
from tests.unit.rpc.conftest import GET, Scripted, Served


def server(servicers: dict[str, object]) -> RpcServer:
    return RpcServer(
        servicers,
        metrics=Metrics(m.label for m in methods()),
        identify=TrustingIdentity(),
        clock=SystemClock(),
        chance=random.Random(1),
    )


async def test_a_method_nobody_serves_stops_the_start() -> None:
    with pytest.raises(BadContract, match="nothing serves"):
        server({"rookery.v1.UserService": Scripted()})


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "db.example:0", ":0"])
async def test_a_server_that_believes_everybody_stays_on_loopback(address: str) -> None:
    trusting = server({service.full_name: Scripted() for service in SERVICES})
    with pytest.raises(NotOnLoopback):
        await trusting.start(address)
    await trusting.stop(None)


async def test_a_taken_port_is_said_so(served: Served) -> None:
    second = server({service.full_name: Scripted() for service in SERVICES})
    with pytest.raises(OSError, match="cannot listen on"):
        await second.start(served.target)
    await second.stop(None)


@pytest.mark.parametrize("path", ["/rookery.v1.TweetService/Nothing", "/no.such.Service/Do", "/x"])
async def test_an_unknown_method_has_its_error_info(served: Served, path: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.raw(path)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    seen = client_errors.from_rpc(caught.value)
    assert (seen.reason, seen.outcome) == ("UNIMPLEMENTED", "none")


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_requests_are_bounded_also_after_decompression(served: Served, compression: grpc.Compression) -> None:
    within = tweets_pb2.GetTweetRequest(id=1, consistency_token="a" * (limits.REQUEST_BYTES - 20))
    beyond = tweets_pb2.GetTweetRequest(id=1, consistency_token="a" * limits.REQUEST_BYTES)
    await served.tweets.GetTweet(within, compression=compression)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.tweets.GetTweet(beyond, compression=compression)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(served.servicer.calls) == 1


async def test_metadata_is_bounded(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.raw(GET)(b"", metadata=(("x-long", "a" * (limits.METADATA_BYTES + 1024)),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.servicer.calls == []


async def _reflect(served: Served, request: reflection_pb2.ServerReflectionRequest) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    call = stub.ServerReflectionInfo()
    await call.write(request)
    reply = await call.read()
    await call.done_writing()
    return reply


async def test_reflection_lists_the_services_and_their_types(served: Served) -> None:
    listed = await _reflect(served, reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {service.name for service in listed.list_services_response.service}
    assert {service.full_name for service in SERVICES} <= names
    wanted = "rookery.v1.TimelineService"
    found = await _reflect(served, reflection_pb2.ServerReflectionRequest(file_containing_symbol=wanted))
    files = {}
    for raw in found.file_descriptor_response.file_descriptor_proto:
        file = descriptor_pb2.FileDescriptorProto.FromString(raw)
        files[file.name] = file
    assert [m.name for m in files["rookery/v1/timelines.proto"].service[0].method] == [
        "GetUserTimeline",
        "GetHomeTimeline",
        "StreamHomeTimeline",
    ]


async def test_calls_under_way_finish_when_the_server_stops(served: Served) -> None:
    import asyncio

    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: object, call: object) -> tweets_pb2.GetTweetResponse:
        begun.set()
        await go_on.wait()
        return tweets_pb2.GetTweetResponse(tweet=tweets_pb2.Tweet(id=3))

    served.servicer.script["GetTweet"] = slow
    call = asyncio.ensure_future(served.tweets.GetTweet(tweets_pb2.GetTweetRequest(id=1)))
    await begun.wait()
    stopping = asyncio.ensure_future(served.server.stop(5))
    go_on.set()
    assert (await call).tweet.id == 3
    await stopping
