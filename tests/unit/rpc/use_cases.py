"""Use cases that a test scripts, behind real servicers on a real server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from unittest.mock import AsyncMock, create_autospec

import grpc

from rookery_server.domain.clock import SystemClock
from rookery_server.domain.tokens import TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.app import RpcServer
from rookery_server.rpc.identity import TrustingIdentity
from rookery_server.rpc.methods import methods
from rookery_server.rpc.servicers import UseCases, servicers
from rookery_server.services.admin import Admin
from rookery_server.services.audience import Audience
from rookery_server.services.graph import Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.inspection import HomeInspection
from rookery_server.services.live import LiveTimelines
from rookery_server.services.moderation import Moderation
from rookery_server.services.tweets import Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import Users

AS_5 = (("rookery-acting-user", "5"),)
AS_6 = (("rookery-acting-user", "6"),)


def scripted(use_case: type) -> Any:
    """Its methods are awaitable mocks that hold callers to the real signatures."""
    return create_autospec(use_case, instance=True, spec_set=True)


@dataclass
class Fakes:
    users: Any = field(default_factory=lambda: scripted(Users))
    tweets: Any = field(default_factory=lambda: scripted(Tweets))
    graph: Any = field(default_factory=lambda: scripted(Graph))
    user_timelines: Any = field(default_factory=lambda: scripted(UserTimelines))
    home: Any = field(default_factory=lambda: scripted(HomeTimelines))
    live: Any = field(default_factory=lambda: scripted(LiveTimelines))
    admin: Any = field(default_factory=lambda: scripted(Admin))
    moderation: Any = field(default_factory=lambda: scripted(Moderation))
    audience: Any = field(default_factory=lambda: scripted(Audience))
    homes: Any = field(default_factory=lambda: scripted(HomeInspection))
    signer: TokenSigner = field(default_factory=lambda: TokenSigner({1: b"k" * 32}, signing=1))
    channel: grpc.aio.Channel = field(init=False)

    def stub(self, kind: Any) -> Any:
        return kind(self.channel)


@asynccontextmanager
async def fake_server() -> AsyncIterator[Fakes]:
    fakes = Fakes()
    cases = UseCases(
        fakes.users, fakes.tweets, fakes.graph, fakes.user_timelines, fakes.home, fakes.live, fakes.admin,
        fakes.moderation, fakes.audience, fakes.homes,
    )  # fmt: skip
    clock = SystemClock()
    server = RpcServer(
        servicers(cases, fakes.signer, clock),
        metrics=Metrics(m.label for m in methods()),
        identify=TrustingIdentity(),
        clock=clock,
        chance=random.Random(1),
    )
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as fakes.channel:
        yield fakes
    await server.stop(None)


def given(mock: Any) -> tuple[Any, ...]:
    """The positional arguments of the only call."""
    return tuple(cast("AsyncMock", mock).await_args_list[-1].args)
