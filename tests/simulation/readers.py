"""How people read in a history: pages, scrolls, polls for what is newer, somebody's own timeline."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from rookery_server.domain import ids as snowflake
from rookery_server.domain.errors import NotFound
from rookery_server.domain.frames import unframe
from rookery_server.domain.limits import REREAD_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.live import LiveMessage
from rookery_server.services.pages import TimelinePage
from tests.simulation.people import People, Position
from tests.simulation.processes import Server, parsed
from tests.support.faults import START_MS
from tests.support.oracle import Judge, Post, Read, Wrong, check_form, name
from tests.support.registers import Change

DEEDS = {"look": 18, "scroll": 3, "poll_newer": 4, "profile": 3, "open_tweet": 3}
PAGES_MOST = 500
LATE_MS = 4_000
"""An ack this long after the id is of a repeat: what is newer than a cursor need not hold it."""
SURELY_CLAIMED_MS = 60_000
"""Changes acked so long ago are applied everywhere; a path that claims nothing is held to those alone."""


class Readers(People):
    """A part of a history."""

    def _now_ms(self) -> int:
        return int(START_MS + self.loop.now * 1000)

    async def _watcher(self) -> None:
        """Somebody who looks at everybody's page again and again."""
        while True:
            for person in self.people:
                await asyncio.sleep(self.dice.uniform(0.0, 0.3))
                await self._page(person, None, self._server(), self.dice.choice([2, 20, 20]))

    async def _page(
        self,
        user: int,
        position: Position,
        server: Server,
        size: int = 0,
        *,
        token: ConsistencyToken | None = None,
        token_post: Post | None = None,
        named: Collection[Change[Any]] = (),
        known: bool = False,
    ) -> TimelinePage | None:
        began = self.loop.now
        size = size or self.dice.choice([2, 5, 20, 100])
        work = server.home.page(server.call(user), size, position, token, known)
        answer = await server.ask(work)
        page = answer.value
        if answer.outcome != "ok":
            self._told(server.process.name, "page of", user, answer.outcome, type(answer.error).__name__)
            return None
        self._told(server.process.name, "page of", user, page.info, *page.tweet_ids)
        self._learn(page)
        self.oracle.check(Read(user, began, position, page, token_post, named, known), self._now_ms())
        return page  # type: ignore[no-any-return]

    def _learn(self, page: TimelinePage | LiveMessage) -> None:
        """Ids of posts whose outcome nobody heard."""
        for id_, author, framed in zip(page.tweet_ids, page.author_ids, page.bodies, strict=True):
            tweet = parsed(unframe(framed))
            post = self.oracle.texts.get(tweet.text)
            if post is None or (tweet.id, tweet.author_id) != (id_, author) or post.author != author:
                raise Wrong(f"{framed!r} under {id_} of {author}")
            self.oracle.learn(post, id_)

    async def look(self) -> None:
        await self._page(self._person(), None, self._server(), known=self.dice.random() < 0.2)

    async def scroll(self) -> None:
        """Down to the end, through whichever server: each page for itself, and all of them together."""
        user, size, began = self._person(), self.dice.choice([3, 20, 100]), self.loop.now
        began_ms = self._now_ms()
        position: Position = None
        seen: set[int] = set()
        claimed_ms = self._now_ms()
        for _ in range(PAGES_MOST):
            page = await self._page(user, position, self._server(), size)
            if page is None:
                return
            if not seen.isdisjoint(page.tweet_ids):
                raise Wrong(f"user {user} is shown something twice in one scroll")
            seen.update(page.tweet_ids)
            claimed_ms = min(claimed_ms, page.info.complete_through_ms)
            bottom = page.next_cursor.last_id if page.next_cursor else 0
            if page.next_cursor is None and not page.info.end_of_history:
                raise Wrong(f"no cursor, and not the end: {page.info}")
            if page.next_cursor is None or (len(seen) > 60 and self.dice.random() < 0.3):
                judge = Judge(self.oracle, user, began, claimed_ms, began_ms)
                self.oracle.check_sum(judge, (bottom, BEYOND), seen)
                return
            position = page.next_cursor
        raise Wrong(f"user {user} never reaches the end")

    async def poll_newer(self) -> None:
        """A first page, then what is newer, a few times: together they hold all that was acked since."""
        user, began = self._person(), self.loop.now
        page = await self._page(user, None, self._server(), 20)
        if page is None:
            return
        judge = Judge(self.oracle, user, began, page.info.complete_through_ms, self._now_ms())
        seen = set(page.tweet_ids)
        bottom = max(page.next_cursor.last_id if page.next_cursor else 0, _first_id(page))
        for _ in range(self.dice.choice([1, 1, 3])):
            await asyncio.sleep(self.dice.uniform(0.0, 8.0))
            newer, began = page.newer_cursor, self.loop.now
            polled = await self._poll(user, newer, seen) if newer else None
            if polled is None:
                return
            page, claimed_ms = polled
            self.oracle.check_sum(judge.going_on(began, claimed_ms), (bottom, BEYOND), seen, LATE_MS)

    async def _poll(self, user: int, newer: NewerCursor, seen: set[int]) -> tuple[TimelinePage, int] | None:
        """All pages down to where `newer` was: the first of them, and the least they claim."""
        first: TimelinePage | None = None
        position: Position = newer
        claimed_ms = self._now_ms()
        while position is not None:
            page = await self._page(user, position, self._server())
            if page is None:
                return None
            first = first or page
            seen.update(page.tweet_ids)
            claimed_ms = min(claimed_ms, page.info.complete_through_ms)
            position = page.next_cursor
        return (first, claimed_ms) if first else None

    async def profile(self) -> None:
        """Somebody's own timeline, which is the truth: whatever was acked before it was asked for is there."""
        viewer, author = self._person(), self._person()
        cursor: PageCursor | None = None
        for _ in range(self.dice.choice([1, 3, PAGES_MOST])):
            page = await self._profile_page(viewer, author, cursor)
            cursor = page.next_cursor if page else None
            if cursor is None:
                return

    async def _profile_page(self, viewer: int, author: int, cursor: PageCursor | None) -> TimelinePage | None:
        server, began = self._server(), self.loop.now
        size = self.dice.choice([2, 20, 100])
        answer = await server.ask(server.profiles.page(server.call(viewer), author, size, cursor))
        self._told(server.process.name, "timeline of", author, "for", viewer, answer.outcome)
        if answer.outcome != "ok":
            self._refused(viewer, author, began, answer.error)
            return None
        page: TimelinePage = answer.value
        self._learn(page)
        read = Read(viewer, began, cursor, page)
        check_form(read)
        judge = Judge(self.oracle, viewer, began, page.info.complete_through_ms, self._now_ms())
        if reason := judge.hides(author):
            raise Wrong(f"user {viewer} is shown the timeline of {author}: {reason}")
        for id_ in page.tweet_ids:
            judge.may_show_of(author, id_)
        have = set(page.tweet_ids)
        missing = [
            post
            for id_, post in self.oracle.between(*read.stretch())
            if id_ not in have and judge.must_show_of(author, post)
        ]
        if missing:
            raise Wrong(f"{name(missing)} missing in the timeline of {author} as {viewer} sees it")
        return page

    async def open_tweet(self) -> None:
        """One by its id, as a link leads to it."""
        viewer, known = self._person(), self.oracle.newest(self.dice.choice([5, 40]))
        if not known:
            return
        post, server, began = self.dice.choice(known), self._server(), self.loop.now
        answer = await server.ask(server.tweets.get(server.call(viewer), post.tweet_id or 0))
        self._told(server.process.name, "tweet", post.text, "for", viewer, answer.outcome)
        judge = Judge(self.oracle, viewer, began, self._now_ms() - SURELY_CLAIMED_MS, self._now_ms())
        if answer.outcome == "ok":
            judge.may_show_of(None, post.tweet_id or 0)
        elif isinstance(answer.error, NotFound) and judge.must_show_of(post.author, post):
            raise Wrong(f"{post.text} is not found by {viewer}")

    def _refused(self, viewer: int, author: int, began: float, error: BaseException | None) -> None:
        judge = Judge(self.oracle, viewer, began, self._now_ms() - SURELY_CLAIMED_MS, self._now_ms())
        if isinstance(error, NotFound) and judge.surely_open(author):
            raise Wrong(f"the timeline of {author} is not found by {viewer}")

    # --- after quiet --------------------------------------------------------------------------------------------

    async def _scrolled(self, user: int, least_claim_ms: float) -> list[int]:
        """A whole home timeline; every page claims at least so much."""
        server, shown, position = self._server(), list[int](), None
        while True:
            page = await self._page(user, position, server, 20)
            if page is None:
                raise Wrong("after quiet a page is refused")
            if page.info.complete_through_ms < least_claim_ms:
                raise Wrong(f"after quiet a page claims no more than {page.info}")
            shown += page.tweet_ids
            if page.next_cursor is None:
                return shown
            position = page.next_cursor


def _first_id(page: TimelinePage) -> int:
    """The first id a poll for what is newer than this page has to hold."""
    newer = page.newer_cursor
    return snowflake.first_at(newer.complete_through_ms - REREAD_MS) if newer else BEYOND
