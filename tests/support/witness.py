"""A small world under watch: its readers scroll all the while, and every page is judged for what it claims."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from rookery import Client, errors
from tests.support.patient import settled
from tests.support.readers import Oracle, Post, Scroll, Verdict, now_ms, scroll
from tests.support.real_run import await_claim

PATIENT_S = 10.0
PAUSE_S = 0.2
"""Between two rounds of scrolls: the machine is for what is being tested."""


@contextmanager
def nobody_knows() -> Iterator[None]:
    """A call that may succeed, or fail in such a way that its caller must not believe that nothing happened."""
    try:
        yield
    except errors.RookeryError as error:
        if error.outcome != "unknown":
            raise


class Witness:
    """`client` leads to servers that are well.  Names begin with `prefix`: accounts are for ever."""

    def __init__(self, client: Client, prefix: str, page_size: int = 5):
        self.client, self._prefix, self._numbers = client, prefix, itertools.count(1)
        self._page_size = page_size
        self.whom: dict[int, set[int]] = {}
        self.posts: list[Post] = []
        self.deleted: dict[int, int] = {}
        self.scrolls: list[Scroll] = []
        self.readers: list[int] = []
        self.refused = 0

    async def person(self, *follows: int, watched: bool = False) -> int:
        """A new account that follows these; `watched`: its home is scrolled from now on."""
        id_ = (await self.client.create_user(f"{self._prefix}{next(self._numbers)}", timeout_s=PATIENT_S)).user.id
        self.whom[id_] = {id_, *follows}
        for whom in follows:
            await self.client.acting_as(id_).follow(whom, timeout_s=PATIENT_S)
        if watched:
            self.readers.append(id_)
        return id_

    async def post(self, author: int, *first: Client) -> Post:
        """Tries through each of `first`, which may fail, and at last through a server that is well: one request."""
        request_id, began, text = str(uuid.uuid4()), now_ms(), f"number {len(self.posts)}"
        for client in first:
            with nobody_knows():
                await client.acting_as(author).create_tweet(text, request_id=request_id, timeout_s=PATIENT_S)
        reply = await self.client.acting_as(author).create_tweet(text, request_id=request_id, timeout_s=PATIENT_S)
        self.posts.append(Post(reply.tweet.id, author, began, now_ms(), text))
        return self.posts[-1]

    async def delete(self, post: Post, *first: Client) -> None:
        """As `post`; afterwards it must be settled."""
        self.deleted[post.id] = now_ms() + 86_400_000  # from here on it may be there or not, until the answer
        for client in first:
            with nobody_knows():
                await client.acting_as(post.author).delete_tweet(post.id, timeout_s=PATIENT_S)
        await settled(lambda: self.client.acting_as(post.author).delete_tweet(post.id, timeout_s=PATIENT_S))
        self.deleted[post.id] = now_ms()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self._watch(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for reader in list(self.readers):
                try:
                    self.scrolls.append(await scroll(self.client, reader, self._page_size))
                except (errors.Unavailable, errors.DeadlineExceeded):
                    self.refused += 1
            await asyncio.sleep(PAUSE_S)

    async def shows(self, post: Post, within_s: float = 30.0) -> None:
        """Returns once the newest page of every watched follower shows it."""
        for reader in [reader for reader in self.readers if post.author in self.whom[reader]]:
            async with asyncio.timeout(within_s):
                while post.id not in await self._newest(reader):  # noqa: ASYNC110  (only asking again can tell)
                    await asyncio.sleep(0.1)

    async def _newest(self, reader: int) -> list[int]:
        try:
            page = await self.client.acting_as(reader).home_page(page_size=20, timeout_s=PATIENT_S)
        except errors.Unavailable:
            return []
        return [tweet.id for tweet in page.tweets]

    async def judge(self) -> Verdict:
        """Waits until everything is claimed, then looks at every home and every profile to the end.

        Raises AssertionError for anything lost, doubled or wrong."""
        last = max(post.acked_ms for post in self.posts)
        await await_claim(self.client.acting_as(self.readers[0]), last)
        final = [await scroll(self.client, reader, self._page_size) for reader in self.readers]
        sources = {reader: frozenset(authors) for reader, authors in self.whom.items()}
        verdict = Oracle(sources, self.posts, self.deleted).judge([*self.scrolls, *final])
        assert verdict.wrong == []
        for done in final:
            self._has_exactly(done)
        for author in {post.author for post in self.posts}:
            await self._profile_has_exactly(author)
        return verdict

    def _alive(self, authors: set[int]) -> list[int]:
        ids = [post.id for post in self.posts if post.author in authors and post.id not in self.deleted]
        return sorted(ids, reverse=True)

    def _has_exactly(self, done: Scroll) -> None:
        shown = [id_ for page in done.pages for id_ in page.ids]
        assert shown == self._alive(self.whom[done.reader]), f"home of {done.reader}"

    async def _profile_has_exactly(self, author: int) -> None:
        texts = {post.id: post.text for post in self.posts}
        shown = [(tweet.id, tweet.text) async for tweet in self.client.user_timeline(author, page_size=self._page_size)]
        assert shown == [(id_, texts[id_]) for id_ in self._alive({author})], f"profile of {author}"
