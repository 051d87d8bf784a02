"""One place through which every call goes: deadline, credentials, concurrency, retries, typed errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from rookery.channel import CALLS_PER_CONNECTION, open_channel
from rookery.credentials import Credentials
from rookery.errors import DeadlineExceeded, Internal, RookeryError, Unavailable, from_rpc
from rookery.retry import RetryBudget

READ_S: Final = 1.0
WRITE_S: Final = 2.0
LIST_S: Final = 5.0
"""A cold or deep page may have to be merged from the store."""
CHANGE_S: Final = 5.0
"""A change of an account waits a second, until no server's own copies are older."""
INSPECT_S: Final = 15.0
"""Recomputes what pages never do in one call."""

SILENCE_S: Final = 45.0
"""Three heartbeats: a stream so silent is dead, whatever its connection says."""

Reply = TypeVar("Reply", bound=Message)
Pick = Callable[[Any], Any]


class Transport:
    """Channels shared by a client and everything derived from it with `acting_as`."""

    def __init__(self, target: str, tls: grpc.ChannelCredentials | None, connections: int):
        self._channels = [open_channel(target, tls) for _ in range(connections)]
        self._under_way = [0] * connections
        # Beyond this the server's transport refuses streams before it has looked at them: wait here instead.
        self._slots = asyncio.Semaphore(CALLS_PER_CONNECTION * connections)
        self._budget = RetryBudget()
        self._target, self._tls = target, tls
        # Streams last: on the calls' own connections they would use up their slots.
        self._live: dict[grpc.aio.Channel, int] = {}

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in (*self._channels, *self._live)))

    async def call(
        self,
        stub: type[Any],
        method: str,
        request: Message,
        reply: type[Reply],
        credentials: Credentials,
        timeout_s: float,
    ) -> Reply:
        """Raises the typed error of the last try.  Only UNAVAILABLE is tried again.  The error's outcome speaks of all
        tries: `none` only if every one of them is proven to have done nothing."""
        ends = time.monotonic() + timeout_s
        tries, in_doubt = 0, False
        while True:
            tries += 1
            try:
                answer = await self._once(stub, method, request, credentials, ends)
            except RookeryError as error:
                in_doubt = in_doubt or error.outcome != "none"
                wait = self._wait_before_retry(error, tries, ends)
                if wait is None:
                    if in_doubt:
                        error.metadata = {**error.metadata, "outcome": "unknown"}
                    raise
                await asyncio.sleep(wait)
                continue
            self._budget.succeeded()
            if not isinstance(answer, reply):
                raise Internal(f"{method} answered {type(answer).__name__}", code=grpc.StatusCode.INTERNAL)
            return answer

    def _wait_before_retry(self, error: RookeryError, tries: int, ends: float) -> float | None:
        if not isinstance(error, Unavailable):
            return None
        return self._budget.backoff(tries, error.retry_after_s, ends - time.monotonic())

    async def _once(self, stub: type[Any], method: str, request: Message, credentials: Credentials, ends: float) -> Any:
        await self._take_slot(method, ends)
        # The least busy one: with as many slots as all have together, none ever has more than its own.
        chosen = min(range(len(self._channels)), key=self._under_way.__getitem__)
        self._under_way[chosen] += 1
        try:
            call = getattr(stub(self._channels[chosen]), method)
            return await call(request, timeout=ends - time.monotonic(), metadata=credentials.metadata())
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            self._under_way[chosen] -= 1
            self._slots.release()

    async def stream(
        self, stub: type[Any], method: str, request: Message, reply: type[Reply], credentials: Credentials
    ) -> AsyncGenerator[Reply, None]:
        """One stream to its end, on a connection with free slots.  Raises the typed error it ended with, Unavailable
        also when nothing comes for so long that it must be dead."""
        channel = next((channel for channel, open_ in self._live.items() if open_ < CALLS_PER_CONNECTION), None)
        if channel is None:
            channel = open_channel(self._target, self._tls)
        self._live[channel] = self._live.get(channel, 0) + 1
        call = getattr(stub(channel), method)(request, metadata=credentials.metadata())
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                if not isinstance(message, reply):
                    raise Internal(f"{method} answered {type(message).__name__}", code=grpc.StatusCode.INTERNAL)
                yield message
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        except TimeoutError:
            raise Unavailable("nothing came, not even a heartbeat", code=grpc.StatusCode.UNAVAILABLE) from None
        finally:
            call.cancel()
            self._live[channel] -= 1

    async def _take_slot(self, method: str, ends: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                await self._slots.acquire()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{method}: no free stream within the deadline; open more connections",
                code=grpc.StatusCode.DEADLINE_EXCEEDED,
                metadata={"outcome": "none"},
            ) from None
