"""The look that says when a stream is worth a page.  Rules S1 and S2 of docs/protocols/live.md."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from rookery_server.cache.interface import Lists
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import COPY_LIFE_S

_AUTHOR_DEPTH = 4
"""Positions of a pull author's list that are looked at: a new post is the first; a late one waits for the heartbeat."""

Signs = tuple[object, ...]


class Watched:
    """One stream's wish to be woken.  `pull`: the authors whose lists concern it; whoever reads pages keeps it true."""

    def __init__(self, user_id: int):
        self.user_id = user_id
        self.pull: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self._signs: Signs | None = None
        self._echoes = 0
        self._error: BaseException | None = None

    def expect(self) -> None:
        """From now on, what changes is a change: called right before a page is read."""
        self._changed.clear()

    async def changed(self, within_s: float) -> None:
        """Returns after that time at the latest.  Raises what ended the poller: that is our bug."""
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        if self._error is not None:
            raise self._error

    def look(self, signs: Signs, echoes: int) -> None:
        """`echoes`: so many looks later pages certainly show what this one saw."""
        if signs != self._signs:
            # Of a hot list the page may come from a copy that was made before.
            if self._signs is not None and signs[1:] != self._signs[1:]:
                self._echoes = echoes
            self._signs = signs
        elif self._echoes:
            self._echoes -= 1
        else:
            return
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._changed.set()


class Watch:
    """One poller for all streams of a server, there only while there are any."""

    def __init__(self, lists: Lists, poll_s: float):
        self._lists, self._poll_s = lists, poll_s
        self._echoes = math.ceil(COPY_LIFE_S / poll_s)
        self._watched: dict[Watched, None] = {}
        """In the order they came: what is woken first must not be a matter of chance."""
        self._poller: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, user_id: int) -> Iterator[Watched]:
        watched = Watched(user_id)
        self._watched[watched] = None
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="live poller")
            self._poller.add_done_callback(self._ended)
        try:
            yield watched
        finally:
            self._watched.pop(watched, None)
            if not self._watched and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self._look()

    def _ended(self, poller: asyncio.Task[None]) -> None:
        error = None if poller.cancelled() else poller.exception()
        if error is not None:
            self._poller = None
            for watched in self._watched:
                watched.fail(error)

    async def _look(self) -> None:
        """All streams at once; those that come meanwhile are looked at next time."""
        watched = list(self._watched)
        authors = frozenset[int]().union(*(one.pull for one in watched))
        try:
            heads, posts = await asyncio.gather(
                self._lists.read_heads(list({one.user_id for one in watched})),
                self._lists.read_authors(list(authors), _AUTHOR_DEPTH),
            )
        except CacheUnavailable:
            return  # heartbeats go on
        newest = {author: (read.exists, read.ids) for author, read in posts.items()}
        for one in watched:
            # A node that does not answer says nothing: neither a change nor none.
            if one.user_id in heads:
                posts_of = (newest.get(author) for author in sorted(one.pull))
                one.look((heads[one.user_id], *posts_of), self._echoes)
