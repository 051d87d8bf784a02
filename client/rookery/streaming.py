"""The live home: one stream after another, each opened where the last one ended.

Whatever ends a stream but a mistake of the caller's (a drained server, its age, a broken connection, a caller that was
slow) is answered by opening it again with the last token, after a jittered pause that grows while nothing works.  A
token is taken over only with its message, so nothing is lost; tweets a message repeats are dropped, so nothing is
doubled.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

from rookery.errors import (
    Cancelled,
    DeadlineExceeded,
    Internal,
    RookeryError,
    SlowConsumer,
    TooManyStreams,
    Unavailable,
)
from rookery.v1 import timelines_pb2

FIRST_PAUSE_S: Final = 0.1
"""After a stream that worked: its server drains or it was old, and another server is there already."""
LONGEST_PAUSE_S: Final = 10.0
"""While nothing works; what a fleet of callers may take to find out that a server is back."""
REMEMBERED: Final = 1024
"""Ids of tweets given out, against doubles: a resumption repeats at most the 256 of a token."""

RESUMABLE: Final = (Unavailable, SlowConsumer, TooManyStreams, DeadlineExceeded, Cancelled)
"""TOO_MANY_STREAMS as well: what one has lost may still count on the server for a while."""

Message = timelines_pb2.StreamHomeTimelineResponse
Open = Callable[[str], AsyncGenerator[Message, None]]
"""Opens a stream at a token (empty: where the first request says); what it yields ends by a typed error."""


class LiveHome:
    """``async for message in LiveHome(open)``: messages with their tweets newest last, without repeats.

    ``give_up_s``: how long nothing may work before the error comes out; None = never.  `resume_token` is that of the
    last message handed out."""

    def __init__(
        self,
        open_stream: Open,
        resume_token: str = "",
        *,
        give_up_s: float | None = None,
        chance: random.Random | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ):
        self._open, self._give_up_s, self._sleep = open_stream, give_up_s, sleep
        self._chance = chance or random.Random()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self.resume_token = resume_token

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Without end.  Raises what no repetition can heal (credentials, an inactive account, a foreign token)."""
        failures, worked = 0, time.monotonic()
        while True:
            wait_s = 0.0
            try:
                async with aclosing(self._open(self.resume_token)) as stream:
                    async for message in stream:
                        failures, worked = 0, time.monotonic()
                        self._drop_repeats(message)
                        yield message
                        self.resume_token = message.resume_token
            except RookeryError as error:
                if not resumable(error):
                    raise
                if self._give_up_s is not None and time.monotonic() - worked >= self._give_up_s:
                    raise
                wait_s = error.retry_after_s or 0.0
            await self._sleep(max(wait_s, self._pause(failures)))
            failures += 1

    def _pause(self, failures: int) -> float:
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 16))
        return pause * self._chance.uniform(0.5, 1.5)

    def _drop_repeats(self, message: Message) -> None:
        fresh = [at for at, tweet in enumerate(message.tweets) if tweet.id not in self._seen]
        if len(fresh) < len(message.tweets):
            kept = Message.FromString(message.SerializeToString())  # a field cannot be rebuilt out of its own parts
            for name in ("tweets", "stats"):
                field, former = getattr(message, name), getattr(kept, name)
                del field[:]
                field.extend(former[at] for at in fresh if at < len(former))
        for tweet in message.tweets:
            self._seen[tweet.id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)


def resumable(error: RookeryError) -> bool:
    """Whether the stream is to be opened again.  INTERNAL without ErrorInfo is the transport's word for a broken
    stream; with it, it is a bug of the server, which would come again."""
    return isinstance(error, RESUMABLE) or (isinstance(error, Internal) and not error.reason)
