"""A call that has ended gives its stream back at once, however it ended: a connection has sixteen of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import grpc
import pytest
import structlog
from google.protobuf.message import Message

from rookery.v1 import tweets_pb2
from rookery_server.domain.errors import NotFound
from rookery_server.rpc.app import OPTIONS
from rookery_server.services.calls import Call
from tests.unit.rpc.conftest import GET, Served

STREAMS = dict(OPTIONS)["grpc.max_concurrent_streams"]
REQUEST = tweets_pb2.GetTweetRequest(id=1).SerializeToString()


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What only the collector frees comes too late.  Lines of the log are not rendered: there are hundreds."""
    gc.disable()
    with structlog.testing.capture_logs():
        yield
    gc.enable()


async def test_errors_in_a_row(served: Served) -> None:
    async def not_found(request: Message, call: Call) -> Message:
        raise NotFound()

    async def bug(request: Message, call: Call) -> Message:
        raise ZeroDivisionError

    served.servicer.script |= {"GetTweet": not_found, "GetUser": bug}
    for path, code in (
        (GET, grpc.StatusCode.NOT_FOUND),
        ("/rookery.v1.UserService/GetUser", grpc.StatusCode.INTERNAL),
        ("/rookery.v1.UserService/Nothing", grpc.StatusCode.UNIMPLEMENTED),
    ):
        for _ in range(4 * STREAMS):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served.raw(path)(b"")
            assert caught.value.code() is code


async def test_callers_that_leave(served: Served) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(request: Message, call: Call) -> Message:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    answer = served.servicer.script["GetTweet"]
    served.servicer.script["GetTweet"] = hang
    for _ in range(4 * STREAMS):
        begun.clear()
        ended.clear()
        call = served.raw(GET)(REQUEST)
        waiting = asyncio.ensure_future(call)
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await ended.wait()
    served.servicer.script["GetTweet"] = answer
    await served.raw(GET)(REQUEST)


async def test_deadlines_that_pass(served: Served) -> None:
    async def hang(request: Message, call: Call) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    answer = served.servicer.script["GetTweet"]
    served.servicer.script["GetTweet"] = hang
    for _ in range(2 * STREAMS):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.raw(GET)(REQUEST, timeout=0.02)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    served.servicer.script["GetTweet"] = answer
    await served.raw(GET)(REQUEST)
