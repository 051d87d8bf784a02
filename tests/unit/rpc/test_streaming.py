"""Calls that answer many messages: sent, counted, ended, always with the reason in the trailer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import TypeAlias

import grpc
import pytest
import structlog
from google.protobuf.message import Message

from rookery import errors as client_errors
from rookery.v1 import timelines_pb2, timelines_pb2_grpc
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.limits import STREAM_RETRY_S
from rookery_server.rpc.app import OPTIONS
from rookery_server.rpc.streams import OpenStreams, StreamTimes
from rookery_server.services.calls import Call
from tests.unit.rpc.conftest import TIMES, Served

NAME = "StreamHomeTimeline"
AS_5 = (("rookery-acting-user", "5"),)
REQUEST = timelines_pb2.StreamHomeTimelineRequest()
STREAMS = dict(OPTIONS)["grpc.max_concurrent_streams"]
Opened: TypeAlias = (
    "grpc.aio.UnaryStreamCall[timelines_pb2.StreamHomeTimelineRequest, timelines_pb2.StreamHomeTimelineResponse]"
)


def _message(token: str) -> timelines_pb2.StreamHomeTimelineResponse:
    return timelines_pb2.StreamHomeTimelineResponse(resume_token=token)


async def _endless(request: Message, call: Call) -> AsyncGenerator[Message, None]:
    yield _message("first")
    await asyncio.Event().wait()


def _open(
    served: Served, timeout: float | None = None, request: timelines_pb2.StreamHomeTimelineRequest = REQUEST
) -> Opened:
    stub = timelines_pb2_grpc.TimelineServiceStub(served.channel)
    return stub.StreamHomeTimeline(request, metadata=AS_5, timeout=timeout)


async def _all(call: Opened) -> tuple[list[str], client_errors.RookeryError | None]:
    tokens = []
    try:
        async for message in call:
            tokens.append(message.resume_token)
    except grpc.aio.AioRpcError as error:
        return tokens, client_errors.from_rpc(error)
    return tokens, None


async def test_messages_are_sent_in_order_and_counted_one_by_one(served: Served) -> None:
    async def three(request: Message, call: Call) -> AsyncGenerator[Message | bytes, None]:
        yield _message("a")
        yield _message("b").SerializeToString()
        yield _message("c")

    served.servicer.streams[NAME] = three
    with structlog.testing.capture_logs() as logs:
        assert await _all(_open(served)) == (["a", "b", "c"], None)
    labels = {
        "grpc_type": "server_stream",
        "grpc_service": "rookery.v1.TimelineService",
        "grpc_method": NAME,
    }
    value = served.metrics.registry.get_sample_value
    assert value("grpc_server_started_total", labels) == 1
    assert value("grpc_server_msg_received_total", labels) == 1
    assert value("grpc_server_msg_sent_total", labels) == 3
    assert value("grpc_server_handling_seconds_count", labels) == 1
    assert served.handled(NAME, "OK") == 1
    assert [(line["method"], line["code"], line["reply_bytes"]) for line in logs] == [(NAME, "OK", 9)]


async def test_an_error_after_messages_still_says_why(served: Served) -> None:
    async def fails(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        yield _message("a")
        raise StoreUnavailable(retry_after_s=0.7)

    served.servicer.streams[NAME] = fails
    tokens, error = await _all(_open(served))
    assert tokens == ["a"]
    assert isinstance(error, client_errors.StoreUnavailable)
    assert (error.outcome, error.retry_after_s) == ("none", 0.7)
    assert error.request_id
    assert served.handled(NAME, "UNAVAILABLE") == 1


async def test_a_bug_in_a_stream_says_nothing(served: Served) -> None:
    async def breaks(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        yield _message("a")
        raise ZeroDivisionError("secret")

    served.servicer.streams[NAME] = breaks
    _, error = await _all(_open(served))
    assert isinstance(error, client_errors.Internal)
    assert "secret" not in str(error)


async def test_what_is_refused_never_begins(served: Served) -> None:
    stub = timelines_pb2_grpc.TimelineServiceStub(served.channel)
    _, error = await _all(stub.StreamHomeTimeline(REQUEST))
    assert isinstance(error, client_errors.Unauthenticated)
    _, error = await _all(_open(served, request=timelines_pb2.StreamHomeTimelineRequest(user_id=6)))
    assert isinstance(error, client_errors.PermissionDenied)
    assert served.servicer.calls == []


async def test_a_stream_without_deadline_lives_as_long_as_a_stream_may(served: Served) -> None:
    served.servicer.streams[NAME] = _endless
    tokens, error = await _all(_open(served))
    assert tokens == ["first"]
    assert isinstance(error, client_errors.Unavailable)
    assert error.message == "this stream ends here: resume it"
    without = served.metrics.registry.get_sample_value("rookery_rpc_without_deadline_total", {"grpc_method": NAME})
    assert without == 0


async def test_live_S12_streams_that_began_together_neither_end_nor_come_back_together(served: Served) -> None:
    streams = OpenStreams(StreamTimes(max_age_s=3600), random.Random(1))
    ages = [streams.age_s() for _ in range(1000)]
    assert min(ages) >= 2880
    assert max(ages) <= 3600
    assert max(ages) - min(ages) > 600
    served.servicer.streams[NAME] = _endless
    ended = await asyncio.gather(*(_all(_open(served)) for _ in range(8)))
    waits = {error.retry_after_s for _, error in ended if error is not None and error.retry_after_s is not None}
    assert len(waits) == 8
    assert all(0 <= wait <= STREAM_RETRY_S for wait in waits)


async def test_the_callers_own_deadline_ends_it_as_such(served: Served) -> None:
    served.servicer.streams[NAME] = _endless
    tokens, error = await _all(_open(served, timeout=TIMES.max_age_s / 2))
    assert tokens == ["first"]
    assert error is not None
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_draining_ends_open_streams_and_refuses_new_ones(served: Served) -> None:
    served.servicer.streams[NAME] = _endless
    messages = aiter(call := _open(served))
    assert (await anext(messages)).resume_token == "first"
    served.server._streams.drain()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(messages)
    ended = client_errors.from_rpc(caught.value)
    assert call.done()
    assert isinstance(ended, client_errors.Unavailable)
    assert ended.message == "this stream ends here: resume it"
    tokens, error = await _all(_open(served))
    assert (tokens, type(error)) == ([], client_errors.Unavailable)
    assert len(served.servicer.calls) == 1


async def test_a_caller_that_takes_nothing_is_told_to_come_back(served: Served) -> None:
    closed = asyncio.Event()

    async def flood(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        try:
            while True:
                yield _message("x" * 500_000)
        finally:
            closed.set()

    served.servicer.streams[NAME] = flood
    call = _open(served)
    async with asyncio.timeout(10):
        await closed.wait()
    tokens, error = await _all(call)
    assert tokens
    assert isinstance(error, client_errors.SlowConsumer)
    assert error.retry_after_s is not None
    assert served.handled(NAME, "RESOURCE_EXHAUSTED") == 1


async def test_a_caller_that_leaves_closes_the_method(served: Served) -> None:
    closed = asyncio.Event()

    async def hang(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        try:
            yield _message("first")
            await asyncio.Event().wait()
        finally:
            closed.set()

    served.servicer.streams[NAME] = hang
    call = _open(served)
    await call.read()
    call.cancel()
    async with asyncio.timeout(10):
        await closed.wait()
    assert served.handled(NAME, "CANCELLED") == 1
    assert served.metrics.registry.get_sample_value("rookery_rpc_in_flight", {"grpc_method": NAME}) == 0


@pytest.mark.parametrize("ends", ["well", "by an error"])
async def test_an_ended_stream_gives_its_slot_back_at_once(served: Served, ends: str) -> None:
    async def one(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        yield _message("a")
        if ends == "by an error":
            raise StoreUnavailable

    served.servicer.streams[NAME] = one
    for _ in range(4 * STREAMS):
        async with asyncio.timeout(5):
            tokens, error = await _all(_open(served))
        assert tokens == ["a"], error
        assert (error is None) == (ends == "well")
