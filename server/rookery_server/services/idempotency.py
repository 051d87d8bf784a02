"""Request ids: the same id with the same content is one write, however often it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from rookery_server.domain.errors import InvalidArgument, RequestIdReused, Violation
from rookery_server.domain.limits import ACKED_REQUESTS_KEPT
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import RequestClaim

T = TypeVar("T")
Key = tuple[int, str]
"""Caller and request id: ids of different callers have nothing to do with each other."""


def checked_request_id(raw: str) -> str:
    """The id in lower case; raises InvalidArgument unless it is a UUID in its usual 36 characters."""
    try:
        if len(raw) == 36 and str(uuid.UUID(raw)) == raw.lower():
            return raw.lower()
    except ValueError:
        pass
    raise InvalidArgument(Violation("request_id", "uuid", "must be a UUID"))


def content_hash(*content: object) -> bytes:
    """What tells one content from another; `content` is anything JSON can say."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).digest()


class Repeats(Generic[T]):
    """The requests under way in this server, and the latest it acked.

    A repeat joins the attempt under way, so a thousand copies of one request are one write.
    """

    def __init__(self, writes: StartedWrites, method: str = "", witness: Witness = SILENT):
        """`method`: whose requests these are, for the witness."""
        self._writes, self._method, self._witness = writes, method, witness
        self._running: dict[Key, tuple[bytes, asyncio.Task[T]]] = {}
        self._acked: OrderedDict[Key, T] = OrderedDict()

    async def run(self, key: Key, content: bytes, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the attempt under way, or of a new one.  Raises RequestIdReused for other content."""
        running = self._running.get(key)
        joins = running is not None
        if running is None:
            running = (content, self._writes.start(write()))
            self._running[key] = running
            running[1].add_done_callback(lambda task: self._ended(key, task))
        if running[0] != content:
            self._witness.request(self._method, "conflict")
            raise RequestIdReused("this request id was used with other content")
        if joins:
            self._witness.request(self._method, "replay")
        return await asyncio.shield(running[1])

    def claimed(self, claim: RequestClaim, content: bytes) -> None:
        """Says what a claim's answer means.  Raises RequestIdReused for other content."""
        if claim.content_hash != content:
            self._witness.request(self._method, "conflict")
            raise RequestIdReused("this request id was used with other content")
        self._witness.request(self._method, "new" if claim.fresh else "replay")

    def acked(self, key: Key) -> T | None:
        """What this server answered when it acked it lately: then its event is known to be in the log."""
        return self._acked.get(key)

    def _ended(self, key: Key, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled() and task.exception() is None:
            self._acked[key] = task.result()
            if len(self._acked) > ACKED_REQUESTS_KEPT:
                self._acked.popitem(last=False)
