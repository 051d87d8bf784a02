"""Home timelines that stay open.  The rules are numbered in docs/protocols/live.md."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from rookery_server.cache.interface import Lists
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, TooManyStreams, Unavailable
from rookery_server.domain.limits import (
    DEGRADED_AFTER_MS,
    PAGE_MAX,
    READ_DEADLINE_S,
    STREAM_HEARTBEAT_S,
    STREAM_POLL_S,
    STREAM_READS,
    STREAMS_PER_USER,
)
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.minting import ClockView
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.live_progress import Next, Progress
from rookery_server.services.live_watch import Watch, Watched
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage


class HomePages(Protocol):
    """What a stream is made of: `services.home.HomeTimelines`."""

    async def page(
        self,
        call: Call,
        page_size: int,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
        only_known_replies: bool = False,
    ) -> TimelinePage: ...


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """`poll_s`: between two looks at the heads of all streams."""

    per_user: int = STREAMS_PER_USER
    heartbeat_s: float = STREAM_HEARTBEAT_S
    poll_s: float = STREAM_POLL_S


DEFAULT_SETTINGS = LiveSettings()


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """`bodies`: framed tweets, oldest first, none in a heartbeat; the ids are aligned with them.  `cursor` opens the
    stream again behind this message.  `info`: what all messages up to this one claim together."""

    bodies: tuple[bytes, ...]
    tweet_ids: tuple[int, ...]
    author_ids: tuple[int, ...]
    cursor: LiveCursor
    info: PageInfo


class LiveTimelines:
    """One for each server process."""

    def __init__(
        self,
        home: HomePages,
        lists: Lists,
        clock: Clock,
        gate: ClockView,
        settings: LiveSettings = DEFAULT_SETTINGS,
    ):
        self._home, self._lists, self._clock, self._gate, self._settings = home, lists, clock, gate, settings
        self._watch = Watch(lists, settings.poll_s)
        self._reads = asyncio.Semaphore(STREAM_READS)
        self._open: Counter[int] = Counter()

    @property
    def open_streams(self) -> int:
        return self._open.total()

    async def stream(
        self, call: Call, position: LiveCursor | NewerCursor | None = None, only_known_replies: bool = False
    ) -> AsyncGenerator[LiveMessage, None]:
        """Messages of the caller's home without end: whoever iterates ends it, by closing it.

        Each message is made after the one before was taken (S8), so it must be handed on before the next is asked
        for.  `position`: None = from now on.  Raises TooManyStreams and, where nobody knows what time "now" is,
        Unavailable, both before the first message, and whatever a page raises but Unavailable.
        """
        user_id = call.caller_id
        with self._seat(user_id), self._watch.watching(user_id) as watched:
            progress, sent_at = Progress.begin(position, self._now_ms), float("-inf")
            pause_s = self._settings.poll_s
            while True:
                due = self._clock.monotonic() >= sent_at + self._settings.heartbeat_s
                message, then = await self._round(call, progress, only_known_replies, watched)
                if message.bodies or due:
                    yield message
                    sent_at = self._clock.monotonic()
                if due:  # behind a page, which has the relations loaded if they were not
                    await self._look_for_pull_authors(watched)
                if then is Next.NOW:
                    continue
                left_s = sent_at + self._settings.heartbeat_s - self._clock.monotonic()
                if then is Next.SOON:
                    await asyncio.sleep(min(left_s, pause_s))
                    pause_s = min(2 * pause_s, self._settings.heartbeat_s)
                else:
                    await watched.changed(left_s)
                    pause_s = self._settings.poll_s

    def _now_ms(self) -> int:
        if not self._gate.open:
            raise Unavailable("the clock of this server is in doubt")
        return self._clock.now_ms()

    @contextmanager
    def _seat(self, user_id: int) -> Iterator[None]:
        if self._open[user_id] >= self._settings.per_user:
            raise TooManyStreams(f"at most {self._settings.per_user} streams of one user at a time")
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

    async def _round(
        self, call: Call, progress: Progress, only_known_replies: bool, watched: Watched
    ) -> tuple[LiveMessage, Next]:
        """One page, and what of it is new."""
        async with self._reads:
            watched.expect()
            until = min(call.deadline, self._clock.monotonic() + READ_DEADLINE_S)
            try:
                page = await self._home.page(
                    replace(call, deadline=until), PAGE_MAX, progress.position(), only_known_replies=only_known_replies
                )
            except Unavailable:
                return self._message(progress, None, []), Next.SOON
        send, then = progress.take(page)
        return self._message(progress, page, send), then

    def _message(self, progress: Progress, page: TimelinePage | None, send: list[int]) -> LiveMessage:
        """`page` None: there was none to be had."""
        claim_ms = progress.claim_ms
        info = PageInfo(
            page.info.source if page else PageSource.LIST,
            end_of_history=False,
            complete_through_ms=claim_ms,
            degraded=page is None or page.info.degraded or self._clock.now_ms() - claim_ms > DEGRADED_AFTER_MS,
            stale=page is not None and page.info.stale,
        )
        if page is None:
            return LiveMessage((), (), (), progress.cursor(), info)
        return LiveMessage(
            tuple(page.bodies[at] for at in send),
            tuple(page.tweet_ids[at] for at in send),
            tuple(page.author_ids[at] for at in send),
            progress.cursor(),
            info,
        )

    async def _look_for_pull_authors(self, watched: Watched) -> None:
        """Whose lists concern the stream: as the viewer's relations say; unknown ones leave it as it was."""
        try:
            read = await self._lists.read_home(watched.user_id, 0, 1)
        except CacheUnavailable:
            return
        if read.relations.relations is not None:
            watched.pull = read.relations.relations.pull
