"""What all calls of the client share: whom they act for, and the way they go."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from rookery.credentials import Credentials
from rookery.transport import Transport

Reply = TypeVar("Reply", bound=Message)


class _Paged(Protocol):
    @property
    def next_page_token(self) -> str: ...


Page = TypeVar("Page", bound=_Paged)


async def pages(read: Callable[[str], Awaitable[Page]]) -> AsyncIterator[Page]:
    """A short or empty page is not the end: only an empty `next_page_token` is."""
    token = ""
    while True:
        page = await read(token)
        yield page
        token = page.next_page_token
        if not token:
            return


class Calls:
    """Base of the calls of each noun."""

    _credentials: Credentials
    _transport: Transport

    async def _call(
        self, stub: type[Any], method: str, request: Message, reply: type[Reply], timeout_s: float
    ) -> Reply:
        return await self._transport.call(stub, method, request, reply, self._credentials, timeout_s)

    def _stream(
        self, stub: type[Any], method: str, request: Message, reply: type[Reply]
    ) -> AsyncGenerator[Reply, None]:
        return self._transport.stream(stub, method, request, reply, self._credentials)
