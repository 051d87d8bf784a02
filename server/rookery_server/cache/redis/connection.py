"""One TCP connection to one node: commands in, replies out, in order, until the first sign of trouble.

All commands of one turn of the event loop leave in one write; hiredis parses what comes back.  A connection is never
repaired.  A reply that is late, missing, malformed or says that the node is not the primary ends it, and everything
unanswered fails with it: whoever holds it knows that nothing else was ever answered over it.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from rookery_server.cache.redis.errors import Disconnected, LinkError, Malformed, NotSent, Redirected, TimedOut

Reply = Any
"""What hiredis makes of RESP3: bytes, int, None, list, dict, or a `hiredis.ReplyError` in its place."""

_INCOMPLETE: Final = object()
_LATE_GRACE_S = 0.010
"""The loop itself may have been held up: replies that wait in the socket are read before a time-out is believed."""
_STALE_S: Final = 2.0
"""Commands packed longer ago never leave: a process that stood still would push on top what was young before it did.
With the 2 s in which an id may be pushed plainly this stays far below the 10 s order bound."""
_ENDINGS: Final = ("MOVED", "ASK", "READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN")


def is_error(reply: Reply) -> bool:
    return isinstance(reply, hiredis.ReplyError)


Answer = asyncio.Future[list[Reply]]
Timer = Callable[[float], None]
"""Takes the seconds between sending and the last reply."""


class Exchange:
    """Commands sent together, and the future of their replies."""

    __slots__ = ("answer", "count", "due", "replies", "sent", "timer")

    def __init__(self, count: int, sent: float, due: float, answer: Answer | None, timer: Timer | None) -> None:
        self.count = count
        self.sent = sent
        self.due = due
        self.answer = answer
        self.timer = timer
        self.replies: list[Reply] = []

    def fail(self, error: LinkError) -> None:
        answer = self.answer
        if answer is not None and not answer.done():
            answer.set_exception(error)
            # Whoever was cancelled meanwhile will not look, and nobody needs to be told.
            answer.exception()


class Connection(asyncio.Protocol):
    """Made by `loop.create_connection`; see `handshake.dial`."""

    def __init__(self, timeout_s: float, queue: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._queue = queue
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._waiting: collections.deque[Exchange] = collections.deque()
        self._out: list[bytes] = []
        self._turn = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.unanswered = 0
        self.error: LinkError | None = None
        """Why it ended; None while it lives."""
        self.on_lost: Callable[[LinkError], None] = lambda error: None
        self.on_push: Callable[[list[Reply]], None] = lambda push: None

    # --- sending ---------------------------------------------------------------------------------------------

    def send(self, packed: bytes, count: int, timer: Timer | None = None, patience_s: float = 0.0) -> Answer:
        """Sends `count` commands at the end of this turn; their replies come as one list, errors in their places.
        `patience_s` is what the commands may wait in the server by themselves.  Raises NotSent; the future fails
        with a LinkError."""
        answer: Answer = self._loop.create_future()
        self._enqueue(packed, count, answer, timer, patience_s)
        return answer

    def cast(self, packed: bytes) -> None:
        """Sends a command whose reply nobody waits for.  Raises NotSent."""
        self._enqueue(packed, 1, None, None, 0.0)

    def _enqueue(
        self, packed: bytes, count: int, answer: Answer | None, timer: Timer | None, patience_s: float
    ) -> None:
        if self.error is not None:
            raise NotSent(f"link ended before ({self.error})")
        if self.unanswered + count > self._queue:
            raise NotSent(f"{self.unanswered} commands unanswered")
        out = self._out
        if not out:
            # Not the loop's own time: uvloop's stands still while a callback runs, which would eat the patience.
            self._turn = time.monotonic()
            self._loop.call_soon(self._flush)
        out.append(packed)
        self.unanswered += count
        self._waiting.append(Exchange(count, self._turn, self._turn + self._timeout_s + patience_s, answer, timer))

    def _flush(self) -> None:
        if self._transport is None or self.error is not None:
            return
        if time.monotonic() - self._turn > _STALE_S:
            self.lose(TimedOut("packed, and not sent in time"))
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()
        if self._watch is None:
            self._watch_for(self._waiting[0].due)

    # --- receiving -------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                kind = type(reply)
                if kind is hiredis.PushNotification:
                    self.on_push(reply)
                    continue
                if kind is hiredis.ReplyError and str(reply).startswith(_ENDINGS):
                    self.lose(Redirected(str(reply)))
                    return
                exchange = waiting[0]
                exchange.replies.append(reply)
                self.unanswered -= 1
                if len(exchange.replies) == exchange.count:
                    waiting.popleft()
                    self._answered(exchange)
        except (hiredis.ProtocolError, IndexError) as error:
            self.lose(Malformed(f"unreadable reply: {error}"))

    def _answered(self, exchange: Exchange) -> None:
        if exchange.timer is not None:
            exchange.timer(time.monotonic() - exchange.sent)
        if exchange.answer is not None and not exchange.answer.done():
            exchange.answer.set_result(exchange.replies)

    def _watch_for(self, due: float) -> None:
        self._watch = self._loop.call_later(due - time.monotonic(), self._check, None)

    def _check(self, suspect: Exchange | None) -> None:
        self._watch = None
        if self.error is not None or not self._waiting:
            return
        head = self._waiting[0]
        if head.due > time.monotonic():
            self._watch_for(head.due)
        elif head is suspect:
            self.lose(TimedOut(f"no reply in {self._timeout_s:g} s"))
        else:
            self._watch = self._loop.call_later(_LATE_GRACE_S, self._check, head)

    # --- life and end ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are transports without saying so.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(Disconnected(str(exc) if exc else "closed by the node"))

    def lose(self, error: LinkError) -> None:
        """Ends it, once: nothing more is written, everything unanswered fails."""
        if self.error is not None:
            return
        self.error = error
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        waiting, self._waiting = self._waiting, collections.deque()
        self._out.clear()
        for exchange in waiting:
            exchange.fail(error)
        self.on_lost(error)
