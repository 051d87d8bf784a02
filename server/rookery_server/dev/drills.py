"""People who post and read while things break, and what they meet."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rookery import Client, errors
from rookery.v1 import timelines_pb2
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.faults import HEAL_S, PATIENT_S
from rookery_server.dev.openings import WINDOW_S, Calm, Opening, Openings
from rookery_server.dev.pages import Oracle, Page, Post, Scroll, next_page, now_ms
from rookery_server.dev.rounds import Round

AUTHORS, READERS = 8, 24
READERS_MOST = 1000
"""At 25 openings a second the homes of a third of them have been opened again within a minute and a half; with more,
hits would not be back in time however well it goes."""
CALM_S = 2.0
"""Claims and hits count as back once they have been for so long."""
POST_EVERY_S = 0.5
OPEN_EVERY_S = 0.04
"""Homes are opened at this pace whatever becomes of the openings before: slow answers do not slow the questions."""
OPEN_S = 2.0
"""Who opens a home waits for so long."""
SCROLLERS = 3
BURST = 20
PAGE = 20
_SIGNING_UP = 16
"""Accounts made at once: enough to be quick, too few to be felt."""
_UNCLEAR = (errors.Unavailable, errors.DeadlineExceeded, errors.Internal)
_SOURCES: Mapping[int, str] = {
    timelines_pb2.PAGE_SOURCE_LIST: "list",
    timelines_pb2.PAGE_SOURCE_BUILD: "build",
    timelines_pb2.PAGE_SOURCE_HISTORY: "history",
    timelines_pb2.PAGE_SOURCE_MERGE: "merge",
}


@dataclass(frozen=True, slots=True)
class Now:
    """What readers meet, since the fault began.  `claim_age_s` None: nothing is claimed, or nobody answers.
    `hit_ratio`: of the last two seconds; None: too few homes were opened."""

    since_s: float
    reads: int
    read_share: float
    claim_age_s: float | None
    hit_ratio: float | None
    wrong: int


@dataclass(slots=True)
class _Tally:
    """Since the fault began."""

    began: float = 0.0
    refused: int = 0
    pages: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    wrong: list[str] = field(default_factory=list)

    def answered(self, page: Page) -> None:
        self.sources[_SOURCES.get(page.source, "unknown")] += 1
        self.degraded += page.degraded

    @property
    def reads(self) -> int:
        return self.sources.total() + self.refused

    @property
    def read_share(self) -> float:
        return self.sources.total() / self.reads if self.reads else 1.0


class Drill:
    """`opening`: a client of its own for those who open homes at an even pace, so that nobody's scrolling is in their
    way.  Accounts are for ever, so their names begin with a `prefix` of this drill."""

    def __init__(
        self, client: Client, opening: Client, rng: random.Random, prefix: str, *, readers: int = READERS
    ) -> None:
        self._client, self._opening, self._rng, self._prefix = client, opening, rng, prefix
        self._readers = readers
        self._authors: list[int] = []
        self._sources: dict[int, frozenset[int]] = {}
        self._posts: list[Post] = []
        self._scrolls: list[Scroll] = []
        self._moving: list[asyncio.Task[None]] = []
        self._briefly: set[asyncio.Task[None]] = set()
        self._tally = _Tally()
        self._openings = Openings()

    @property
    def star(self) -> int:
        """Whom everybody follows."""
        return self._authors[0]

    async def settle(self) -> None:
        """Makes the people: authors, and readers who follow all of them and have opened their home."""
        self._authors = [await self._sign_up(f"a{at}") for at in range(AUTHORS)]
        at_once = asyncio.Semaphore(_SIGNING_UP)

        async def join(at: int) -> None:
            async with at_once:
                reader = await self._sign_up(f"r{at}")
                acting = self._client.acting_as(reader)
                await asyncio.gather(*(acting.follow(author, timeout_s=PATIENT_S) for author in self._authors))
                await acting.home_page(page_size=1, timeout_s=PATIENT_S)
                self._sources[reader] = frozenset((reader, *self._authors))

        await asyncio.gather(*(join(at) for at in range(self._readers)))

    async def _sign_up(self, name: str) -> int:
        return (await self._client.create_user(f"{self._prefix}{name}", timeout_s=PATIENT_S)).user.id

    # --- what they do -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        """People post and read inside."""
        readers = sorted(self._sources)
        work = [
            self._post_for_ever(),
            self._open_for_ever(readers),
            *(self._scroll_for_ever(readers[at::SCROLLERS]) for at in range(SCROLLERS)),
        ]
        self._moving = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            tasks = [*self._moving, *self._briefly]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def burst(self) -> None:
        """The star posts a lot at once; returns with the first ack, when deliveries are under way."""
        posting = {self._start(self._post(self.star)) for _ in range(BURST)}
        await asyncio.wait(posting, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._briefly.add(task)
        task.add_done_callback(self._briefly.discard)
        return task

    async def _post(self, author: int) -> None:
        """Repeats until acked: the same request id makes it one post."""
        request_id, began = str(uuid.uuid4()), now_ms()
        text = f"drill {request_id}"
        while True:
            try:
                reply = await self._client.acting_as(author).create_tweet(
                    text, request_id=request_id, timeout_s=PATIENT_S
                )
            except _UNCLEAR:
                await asyncio.sleep(0.2)  # the back-off of a patient caller
                continue
            self._posts.append(Post(reply.tweet.id, author, began, now_ms(), text))
            return

    async def _post_for_ever(self) -> None:
        while True:
            await self._post(self._rng.choice(self._authors))
            await asyncio.sleep(POST_EVERY_S * self._rng.uniform(0.5, 1.5))

    async def _scroll_for_ever(self, lane: Sequence[int]) -> None:
        while True:
            done = Scroll(self._rng.choice(lane))
            try:
                while await next_page(self._client, done, PAGE):
                    self._tally.answered(done.pages[-1])
                self._tally.answered(done.pages[-1])
            except _UNCLEAR:
                self._tally.refused += 1
            self._scrolls.append(done)  # what was answered is judged, however it went on
            await asyncio.sleep(0.05)

    async def _open_for_ever(self, readers: Sequence[int]) -> None:
        due = time.monotonic()
        while True:
            self._start(self._open(self._rng.choice(readers)))
            due += OPEN_EVERY_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _open(self, reader: int) -> None:
        done = Scroll(reader)
        try:
            await next_page(self._opening, done, PAGE, OPEN_S)
        except errors.RookeryError:
            self._tally.refused += 1
            self._openings.all.append(Opening(time.monotonic(), hit=False, claim_age_s=None))
            return
        (page,) = done.pages
        self._scrolls.append(done)
        self._tally.answered(page)
        claimed_ms = page.complete_through_ms
        age = (now_ms() - claimed_ms) / 1000 if claimed_ms else None
        hit = page.source == timelines_pb2.PAGE_SOURCE_LIST
        self._openings.all.append(Opening(time.monotonic(), hit, age))

    # --- what is seen -----------------------------------------------------------------------------------------------

    def now(self) -> Now:
        self._judge()
        of, at = self._tally, time.monotonic()
        age = self._openings.all[-1].claim_age_s if self._openings.all else None
        return Now(at - of.began, of.reads, of.read_share, age, self._openings.hit_ratio(at), len(of.wrong))

    def _judge(self) -> None:
        scrolls, self._scrolls = self._scrolls, []
        verdict = Oracle(self._sources, self._posts, {}).judge(scrolls)
        self._tally.pages += verdict.pages
        self._tally.wrong += verdict.wrong

    async def calm(self) -> Calm:
        """Waits until claims and hits have been as they should for two seconds on end, or for two minutes.  Returns
        what was calm in the end.  Raises what ended those who post and read."""
        until = time.monotonic() + HEAL_S
        while True:
            await asyncio.sleep(0.1)  # the poll of the condition waited for
            for task in self._moving:
                if task.done():
                    task.result()
            now = time.monotonic()
            found = self._openings.calm(now - CALM_S, now)
            if found or now >= until:
                return found

    async def suffer(self, name: str, fault: Callable[[], Awaitable[str]]) -> Round:
        """Breaks it, puts it back, waits until claims and hits are back.  Raises LocalClusterError when the engines
        cannot be put back."""
        self._judge()
        self._tally = of = _Tally(began=time.monotonic())
        self._openings.forget(of.began - CALM_S - WINDOW_S)
        hits_before = self._openings.hit_ratio(of.began)
        try:
            detail = await fault()
        except TimeoutError:
            raise LocalClusterError(f"After '{name}' the engines did not come back within {HEAL_S:.0f} s.") from None
        healed_s = time.monotonic() - of.began
        back = await self.calm()
        self._judge()
        claims, hits = self._openings.claims_away(of.began), self._openings.hits_away(of.began)
        return Round(
            name=name,
            detail=detail,
            healed_s=round(healed_s, 1),
            back_s=round(claims.back_s, 1),
            recovered=back.claims,
            worst_claim_s=_rounded(claims.worst, 1),
            hits_before=_rounded(hits_before, 3),
            hits_least=_rounded(hits.worst, 3),
            hits_back_s=round(hits.back_s, 1),
            hits_recovered=back.hits,
            reads=of.reads,
            read_share=round(of.read_share, 5),
            pages=of.pages,
            sources=dict(of.sources),
            degraded=of.degraded,
            wrong=len(of.wrong),
            first_wrong=tuple(of.wrong[:5]),
        )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
