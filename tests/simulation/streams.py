"""Home timelines that stay open: somebody listens, is cut off, goes on elsewhere, and must have missed nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from rookery_server.domain.errors import RookeryError
from rookery_server.domain.ids import first_at, time_ms
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.merge import BEYOND
from rookery_server.services.live import LiveMessage
from tests.simulation.processes import PAGE_BEGAN, Server
from tests.simulation.readers import LATE_MS, Readers
from tests.support.oracle import Judge, Post, Wrong, name

PATIENCE_S = 20.0
"""Heartbeats are closer: who hears nothing for so long goes elsewhere."""


@dataclass
class Listening:
    """One listener's whole story, over all its streams."""

    user: int
    since_ms: int
    sent: set[int] = field(default_factory=set)
    cursor: LiveCursor | None = None
    claimed_ms: int = 0


class Streams(Readers):
    """A part of a history."""

    listening: list[Listening]

    async def _listener(self) -> None:
        """Opens a stream, is cut off at some moment, and goes on behind the last message it took."""
        await asyncio.sleep(self.dice.uniform(0.0, 4.0))
        one = Listening(self._person(), 0)
        self.listening.append(one)
        while True:
            await self._listen(one, self._server(), self.dice.choice([0.5, 3.0, 12.0]))
            await asyncio.sleep(self.dice.choice([0.0, 0.2, 3.0]))

    async def _listen(self, one: Listening, server: Server, seconds: float) -> None:
        """Until time is up or the stream ends: nobody says goodbye."""
        messages: asyncio.Queue[tuple[LiveMessage, float] | BaseException] = asyncio.Queue()
        if one.cursor is None:
            one.since_ms = max(one.since_ms, server.process.clock.now_ms(), self._now_ms())
        task = server.process.spawn(_take(server.live.stream(server.call(one.user), one.cursor), messages))
        until = self.loop.now + seconds
        try:
            while (left := until - self.loop.now) > 0:
                async with asyncio.timeout(min(left, PATIENCE_S)):
                    heard = await messages.get()
                if isinstance(heard, BaseException):
                    if not isinstance(heard, RookeryError | asyncio.CancelledError):
                        raise heard
                    return
                self._heard(one, *heard)
                messages.task_done()
                if self.dice.random() < 0.1:
                    await asyncio.sleep(self.dice.uniform(0.0, 3.0))
        except TimeoutError:
            return
        finally:
            task.cancel()

    def _heard(self, one: Listening, message: LiveMessage, began: float) -> None:
        self._told("stream of", one.user, message.info, *message.tweet_ids)
        if doubled := one.sent.intersection(message.tweet_ids):
            raise Wrong(f"the stream of {one.user} brings {doubled} twice")
        if list(message.tweet_ids) != sorted(message.tweet_ids):
            raise Wrong(f"not oldest first: {message.tweet_ids}")
        self._learn(message)
        judge = Judge(self.oracle, one.user, began, message.info.complete_through_ms, self._now_ms())
        for id_ in message.tweet_ids:
            judge.may_show(id_)
        one.sent.update(message.tweet_ids)
        one.cursor, one.claimed_ms = message.cursor, max(one.claimed_ms, message.info.complete_through_ms)
        missing = [
            post
            for id_, post in self.oracle.between(_first(one), BEYOND)
            if id_ not in one.sent and self._was_due(one, post, id_, began)
        ]
        if missing:
            raise Wrong(f"the stream of {one.user} claims {one.claimed_ms} and did not bring {name(missing)}")

    def _was_due(self, one: Listening, post: Post, id_: int, began: float) -> bool:
        """Acked since the beginning and by the claim, and seen by this listener from then on: what is followed or
        uncovered later does not bring its past."""
        acked_ms = post.acked_ms()
        if acked_ms is None or not one.since_ms < acked_ms <= one.claimed_ms or acked_ms - time_ms(id_) >= LATE_MS:
            return False
        if post.acked_at() > began:
            return False
        return Judge(self.oracle, one.user, post.acked_at(), acked_ms, self._now_ms()).must_show(post)

    async def _last_messages(self, one: Listening, least_claim_ms: float) -> None:
        """After quiet: goes on once more, until all is claimed."""
        until = self.loop.now + PATIENCE_S
        while one.claimed_ms < least_claim_ms:
            if self.loop.now > until:
                raise Wrong(f"after quiet the stream of {one.user} claims no more than {one.claimed_ms}")
            await self._listen(one, self._server(), 5.0)


async def _take(
    stream: AsyncGenerator[LiveMessage, None],
    messages: asyncio.Queue[tuple[LiveMessage, float] | BaseException],
) -> None:
    """What the transport does: asks for the next message when the one before was taken.  With each comes when the
    page it was made of was asked for."""
    try:
        async for message in stream:
            messages.put_nowait((message, PAGE_BEGAN.get()))
            await messages.join()
    except (RookeryError, asyncio.CancelledError) as error:
        messages.put_nowait(error)
    finally:
        await stream.aclose()


def _first(one: Listening) -> int:
    return first_at(max(0, one.since_ms - LATE_MS))
