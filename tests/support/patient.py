"""A client whose deadlines a slow machine does not reach, and calls that are repeated until their effect is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from rookery import Client
from rookery.credentials import Credentials
from rookery.transport import Transport

PATIENT_S = 10.0
SETTLED_S = 30.0

Answer = TypeVar("Answer", bound=Message)


class _Transport(Transport):
    async def call(
        self,
        stub: type[Any],
        method: str,
        request: Message,
        reply: type[Answer],
        credentials: Credentials,
        timeout_s: float,
    ) -> Answer:
        return await super().call(stub, method, request, reply, credentials, max(timeout_s, PATIENT_S))


class PatientClient(Client):
    """Every call may take ten seconds.  What is shown with it is what answers say, not how fast they are."""

    def __init__(self, target: str, *, connections: int = 1) -> None:
        self._credentials = Credentials()
        self._transport = _Transport(target, None, connections)


class Settling(Protocol):
    """An answer that says whether no server shows what was before."""

    @property
    def settled(self) -> bool: ...


Reply = TypeVar("Reply", bound=Settling)


async def settled(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """The first answer that is settled.  One is not while a cache node does not answer in a quarter of a second, and
    says so; whoever needs it repeats the call."""
    async with asyncio.timeout(SETTLED_S):
        while not (reply := await call()).settled:  # noqa: ASYNC110  (only asking again can tell)
            await asyncio.sleep(0.1)
        return reply
