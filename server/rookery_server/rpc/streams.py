"""Calls that answer many messages: how long they stay open, and how they end.

A stream has no deadline but its caller's.  It ends by itself: when it is old, so that load spreads again after a
restart; when the server drains; when its caller takes nothing.  All three are errors that say "open it again".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from google.protobuf.message import Message

from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import DeadlineExceeded, RookeryError, SlowConsumer, Unavailable
from rookery_server.rpc.incoming import Incoming, Outgoing, Step, passed_down
from rookery_server.services.calls import Call

StreamServicer = Callable[[Message, Call], AsyncGenerator[Message | bytes, None]]
"""A streaming method of a noun; it is closed, and so runs its `finally`, however its call ends."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """In seconds.  `max_age_s`: the oldest a stream gets; each ends up to a fifth earlier.  `slow_s`: how long one
    message may wait to be taken."""

    max_age_s: float = limits.STREAM_MAX_AGE_S
    slow_s: float = limits.STREAM_SLOW_S


DEFAULT_TIMES = StreamTimes()


class OpenStreams:
    """All streams of a server, so that they can be ended together."""

    def __init__(self, times: StreamTimes, chance: random.Random):
        self.times, self._chance = times, chance
        self._ends: set[asyncio.Timeout] = set()
        self._draining = False

    def age_s(self) -> float:
        """How old a stream that begins now may grow: those that began together do not end together."""
        return self.times.max_age_s * self._chance.uniform(limits.STREAM_AGE_LEAST, 1.0)

    def drain(self) -> None:
        """Ends all of them, and every one that is opened from now on."""
        self._draining = True
        for end in self._ends:
            end.reschedule(0)

    def step(self, servicer: StreamServicer, clock: Clock) -> Step:
        """Runs the method and sends what it yields; answers nothing more."""

        async def run(call: Incoming) -> bytes:
            if self._draining:
                raise self._moved()
            request, out = call.request, call.out
            assert request is not None and out is not None, "the steps before make them"  # noqa: S101, PT018
            down = passed_down(call, call.deadline)
            end = asyncio.timeout(call.deadline - clock.monotonic())
            try:
                async with end, aclosing(servicer(request, down)) as messages:
                    self._ends.add(end)
                    async for message in messages:
                        await self._send(out, message if isinstance(message, bytes) else message.SerializeToString())
            except TimeoutError:
                if not end.expired():
                    raise
                raise self._why_ended(call, clock) from None
            finally:
                self._ends.discard(end)
            return b""

        return run

    async def _send(self, out: Outgoing, message: bytes) -> None:
        try:
            async with asyncio.timeout(self.times.slow_s):
                await out.send(message)
        except TimeoutError:
            raise SlowConsumer("a message was not taken in time: resume the stream") from None

    def _why_ended(self, call: Incoming, clock: Clock) -> RookeryError:
        if call.asked_s is not None and not self._draining and clock.monotonic() >= call.started + call.asked_s:
            return DeadlineExceeded("the time given to the stream is over")
        return self._moved()

    def _moved(self) -> Unavailable:
        """All streams of a server that drains end in one instant; the next server is not to see them all in one."""
        retry_after_s = self._chance.uniform(0.0, limits.STREAM_RETRY_S)
        return Unavailable("this stream ends here: resume it", retry_after_s=retry_after_s)
