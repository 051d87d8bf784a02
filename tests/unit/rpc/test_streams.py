"""A call that has ended gives its stream back at once, however it ended: a connection has sixteen of them."""

from __future__ import annotations

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
    answer = served.servicer.script["GetTweet"]
    for _ in range(4 * STREAMS):
        await served.servicer.hangs("GetTweet").leave(served.raw(GET)(REQUEST))
    served.servicer.script["GetTweet"] = answer
    await served.raw(GET)(REQUEST)


async def test_deadlines_that_pass(served: Served) -> None:
    answer = served.servicer.script["GetTweet"]
    served.servicer.hangs("GetTweet")
    for _ in range(2 * STREAMS):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.raw(GET)(REQUEST, timeout=0.02)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    served.servicer.script["GetTweet"] = answer
    await served.raw(GET)(REQUEST)
