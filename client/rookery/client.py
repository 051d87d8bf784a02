"""The asynchronous client."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from rookery.admin import AdminCalls
from rookery.credentials import Credentials
from rookery.graph import GraphCalls
from rookery.timelines import TimelineCalls
from rookery.transport import Transport
from rookery.tweets import TweetCalls
from rookery.users import UserCalls


class Client(UserCalls, TweetCalls, GraphCalls, TimelineCalls, AdminCalls):
    """Typed calls to a Rookery installation.

    ``target`` is `host:port` or any gRPC target; all hosts behind a name are used in turn.  Every call has a deadline;
    UNAVAILABLE is retried within a budget, with the same request id.  Failures raise `rookery.errors`.  ``connections``
    raises the number of concurrent calls (8 a connection).  Use as ``async with Client(...) as client``.
    """

    def __init__(
        self,
        target: str,
        credentials: Credentials | None = None,
        *,
        tls: grpc.ChannelCredentials | None = None,
        connections: int = 1,
    ):
        self._credentials = credentials or Credentials()
        self._transport = Transport(target, tls, connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    def acting_as(self, user_id: int) -> Client:
        """The same connections on behalf of another user; closing either closes both."""
        other = object.__new__(type(self))
        other._credentials = self._credentials.act_as(user_id)
        other._transport = self._transport
        return other
