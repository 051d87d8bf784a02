"""Readers that scroll home pages under load, and the oracle that judges every page for what it claims.

The oracle knows only what the clients know: who follows whom, and of every post when its call began, when it was acked
and with which id.  It shares no code with the server.  Drills and tests judge by it.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rookery import Client, errors

SCROLL_S = 20.0


@dataclass(frozen=True, slots=True)
class Post:
    """Times in Unix ms by the machine's clock, which the servers under test share."""

    id: int
    author: int
    began_ms: int
    acked_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """`above`: ids of this page are below it (None: the newest page).  `ids` with authors and texts, as shown."""

    above: int | None
    ids: tuple[int, ...]
    authors: tuple[int, ...]
    texts: tuple[str, ...]
    complete_through_ms: int
    more: bool
    degraded: bool
    stale: bool
    source: int
    began_ms: int
    seconds: float


@dataclass(slots=True)
class Scroll:
    """`token`: of the next page; empty: before the first and after the last."""

    reader: int
    pages: list[Page] = field(default_factory=list)
    token: str = ""


@dataclass(slots=True)
class Verdict:
    """Everything wrong, in words; and how much was looked at."""

    scrolls: int = 0
    pages: int = 0
    tweets: int = 0
    required: int = 0
    degraded: int = 0
    wrong: list[str] = field(default_factory=list)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def scroll(client: Client, reader: int, page_size: int) -> Scroll:
    """One reader's home from the newest page to the end of history."""
    done = Scroll(reader)
    while await next_page(client, done, page_size):
        pass
    return done


async def next_page(client: Client, done: Scroll, page_size: int, timeout_s: float = SCROLL_S) -> bool:
    """Goes on with a scroll, or begins it; whether there is more.  Raises rookery.errors; then `done` is as before."""
    began, started = now_ms(), time.monotonic()
    acting = client.acting_as(done.reader)
    page = await acting.home_page(page_size=page_size, page_token=done.token, timeout_s=timeout_s)
    done.pages.append(
        Page(
            above=next((known.ids[-1] for known in reversed(done.pages) if known.ids), None),
            ids=tuple(tweet.id for tweet in page.tweets),
            authors=tuple(tweet.author_id for tweet in page.tweets),
            texts=tuple(tweet.text for tweet in page.tweets),
            complete_through_ms=page.info.complete_through.ToMilliseconds(),
            more=bool(page.next_page_token),
            degraded=page.info.degraded,
            stale=page.info.stale,
            source=page.info.source,
            began_ms=began,
            seconds=time.monotonic() - started,
        )
    )
    done.token = page.next_page_token
    return bool(done.token)


async def keep_scrolling(
    client: Client, readers: Iterable[int], page_size: int, stop: asyncio.Event, scrolls: list[Scroll]
) -> int:
    """Scrolls the readers in turn until told to stop; returns how many scrolls ended UNAVAILABLE (no claim made)."""
    refused = 0
    order = list(readers)
    while not stop.is_set():
        for reader in order:
            if stop.is_set():
                break
            try:
                scrolls.append(await scroll(client, reader, page_size))
            except (errors.Unavailable, errors.DeadlineExceeded):
                refused += 1
    return refused


class Oracle:
    """`sources`: reader → everybody whose posts belong on the home (followees and the reader)."""

    def __init__(self, sources: Mapping[int, frozenset[int]], posts: Iterable[Post], deleted: Mapping[int, int]):
        self._sources = sources
        self._posts = {post.id: post for post in posts}
        self._by_author: dict[int, list[int]] = {}
        for post in self._posts.values():
            self._by_author.setdefault(post.author, []).append(post.id)
        for ids in self._by_author.values():
            ids.sort()
        self._deleted = deleted
        """Tweet id → when its delete was acked as settled."""

    def judge(self, scrolls: Iterable[Scroll]) -> Verdict:
        verdict = Verdict()
        for done in scrolls:
            verdict.scrolls += 1
            self._judge_scroll(done, verdict)
        return verdict

    def _judge_scroll(self, done: Scroll, verdict: Verdict) -> None:
        seen: set[int] = set()
        for number, page in enumerate(done.pages):
            verdict.pages += 1
            verdict.tweets += len(page.ids)
            verdict.degraded += page.degraded
            where = f"reader {done.reader}, page {number} (source {page.source})"
            self._judge_shown(done.reader, page, seen, where, verdict)
            self._judge_complete(done.reader, page, where, verdict)
            seen.update(page.ids)

    def _judge_shown(self, reader: int, page: Page, seen: set[int], where: str, verdict: Verdict) -> None:
        wrong = verdict.wrong
        if list(page.ids) != sorted(set(page.ids), reverse=True):
            wrong.append(f"{where}: not strictly descending")
        if page.above is not None and page.ids and page.ids[0] >= page.above:
            wrong.append(f"{where}: starts at {page.ids[0]}, above the page before ({page.above})")
        if doubled := seen.intersection(page.ids):
            wrong.append(f"{where}: shown twice: {sorted(doubled)[:3]}")
        for id_, author, text in zip(page.ids, page.authors, page.texts, strict=True):
            post = self._posts.get(id_)
            if author not in self._sources[reader]:
                wrong.append(f"{where}: {id_} by {author}, whom the reader does not follow")
            if post is not None and (post.author, post.text) != (author, text):
                wrong.append(f"{where}: {id_} is not what was posted")
            if not page.stale and self._deleted.get(id_, page.began_ms) < page.began_ms:
                wrong.append(f"{where}: {id_} was deleted and settled before the call began")

    def _judge_complete(self, reader: int, page: Page, where: str, verdict: Verdict) -> None:
        """Every post acked by the claim and inside the page's stretch of ids must be on it."""
        lowest = page.ids[-1] if page.more and page.ids else None
        if page.more and not page.ids:
            return  # an empty page with a token claims no stretch
        shown = set(page.ids)
        for author in self._sources[reader]:
            ids = self._by_author.get(author, [])
            start = bisect.bisect_left(ids, lowest) if lowest is not None else 0
            end = bisect.bisect_left(ids, page.above) if page.above is not None else len(ids)
            for id_ in ids[start:end]:
                if self._posts[id_].acked_ms > page.complete_through_ms or id_ in self._deleted:
                    continue
                verdict.required += 1
                if id_ not in shown:
                    late = page.complete_through_ms - self._posts[id_].acked_ms
                    verdict.wrong.append(f"{where}: misses {id_} by {author}, acked {late} ms before the claim")
