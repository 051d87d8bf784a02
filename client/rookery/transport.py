"""One place through which every call goes: deadline, credentials, concurrency, retries, typed errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

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
