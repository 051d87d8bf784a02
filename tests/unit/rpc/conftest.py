"""A real aio server on a port of its own, with servicers that a test scripts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from rookery.v1 import tweets_pb2, tweets_pb2_grpc, users_pb2
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.rpc.app import RpcServer
from rookery_server.rpc.identity import TrustingIdentity
from rookery_server.rpc.methods import SERVICES, methods
from rookery_server.rpc.streams import StreamTimes
from rookery_server.services.calls import Call
from tests.unit.rpc.use_cases import Fakes, fake_server

Answer = Callable[[Any, Call], Awaitable[Message | bytes]]
StreamAnswer = Callable[[Any, Call], AsyncGenerator[Message | bytes, None]]
TIMES = StreamTimes(max_age_s=0.4, slow_s=0.3)
"""Short, so that tests see streams grow old and their callers fall asleep."""


@dataclass(frozen=True)
class Hanging:
    """A call that waits for ever, seen from inside."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def leave(self, call: Any) -> None:
        """Begins the call, and leaves once it is under way; returns when the server has noticed."""
        waiting = asyncio.ensure_future(call)
        await self.begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await self.ended.wait()


class Scripted:
    """Serves every method of every service by what the test put under its name."""

    def __init__(self) -> None:
        self.script: dict[str, Answer] = {}
        self.streams: dict[str, StreamAnswer] = {}
        self.calls: list[tuple[str, Message, Call]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("Stream"):
            return self._stream

        async def serve(request: Message, call: Call) -> Message | bytes:
            self.calls.append((name, request, call))
            return await self.script[name](request, call)

        return serve

    async def _stream(self, request: Message, call: Call) -> AsyncGenerator[Message | bytes, None]:
        self.calls.append(("StreamHomeTimeline", request, call))
        async with aclosing(self.streams["StreamHomeTimeline"](request, call)) as messages:
            async for message in messages:
                yield message

    def answers(self, name: str, reply: Message) -> None:
        async def answer(request: Message, call: Call) -> Message:
            return reply

        self.script[name] = answer

    def hangs(self, name: str) -> Hanging:
        """Begins and never answers."""
        of = Hanging()

        async def answer(request: Message, call: Call) -> Message:
            of.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                of.ended.set()
            raise AssertionError

        self.script[name] = answer
        return of

    def fails(self, name: str, error: BaseException) -> None:
        async def answer(request: Message, call: Call) -> Message:
            raise error

        self.script[name] = answer


@dataclass
class Served:
    servicer: Scripted
    metrics: Metrics
    server: RpcServer
    target: str
    clock: SystemClock
    channel: grpc.aio.Channel
    tweets: tweets_pb2_grpc.TweetServiceAsyncStub = field(init=False)

    def __post_init__(self) -> None:
        self.tweets = tweets_pb2_grpc.TweetServiceStub(self.channel)

    def raw(self, path: str) -> Any:
        """Calls any path with bytes, answers bytes."""
        return self.channel.unary_unary(path)

    def handled(self, method: str, code: str) -> float:
        """How many calls of a method ended with a code, as a scrape would tell."""
        service = next(m.service for m in methods() if m.name == method)
        kind = "server_stream" if method.startswith("Stream") else "unary"
        labels = {"grpc_type": kind, "grpc_service": service, "grpc_method": method, "grpc_code": code}
        return self.metrics.registry.get_sample_value("grpc_server_handled_total", labels) or 0.0


GET = "/rookery.v1.TweetService/GetTweet"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    servicer = Scripted()
    servicer.answers("GetTweet", tweets_pb2.GetTweetResponse(tweet=tweets_pb2.Tweet(id=7)))
    servicer.answers("CreateTweet", tweets_pb2.CreateTweetResponse(tweet=tweets_pb2.Tweet(id=8)))
    servicer.answers("GetUser", users_pb2.GetUserResponse(user=users_pb2.User(id=9)))
    metrics = Metrics(m.label for m in methods())
    server = RpcServer(
        {service.full_name: servicer for service in SERVICES},
        metrics=metrics,
        identify=TrustingIdentity(),
        clock=(clock := SystemClock()),
        chance=random.Random(1),
        streams=TIMES,
    )
    target = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    async with grpc.aio.insecure_channel(target) as channel:
        yield Served(servicer, metrics, server, target, clock, channel)
    await server.stop(None)


@pytest.fixture
async def fakes() -> AsyncIterator[Fakes]:
    async with fake_server() as serving:
        yield serving
