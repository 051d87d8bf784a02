"""People who post and read while things break, and what they meet."""

from __future__ import annotations

import asyncio
import random
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rookery import Client, errors
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.faults import HEAL_S, PATIENT_S
from rookery_server.dev.installation import Service
from rookery_server.dev.pages import Oracle, Post, Scroll, now_ms, scroll

AUTHORS, READERS = 8, 24
BEHIND_S = 10.0
"""`complete_through` further ago than this is behind; normally it is six to seven seconds ago."""
CALM_S = 2.0
"""The claims count as back once they have been for so long."""
POST_EVERY_S = 0.5
BURST = 20
PAGE = 20
_UNCLEAR = (errors.Unavailable, errors.DeadlineExceeded, errors.Internal)


@dataclass(frozen=True, slots=True)
class Now:
    """What readers meet, since the fault began.  `claim_age_s` None: nothing is claimed, or nobody answers."""

    since_s: float
    reads: int
    read_share: float
    claim_age_s: float | None
    hit_ratio: float | None
    wrong: int


@dataclass(frozen=True, slots=True)
class Round:
    """One fault; seconds count from its beginning.  `back_s`: when pages claimed up to ten seconds ago again, for good;
    0 = they never stopped.  `worst_claim_s` None: for a moment nothing was claimed at all."""

    name: str
    detail: str
    healed_s: float
    back_s: float
    recovered: bool
    worst_claim_s: float | None
    reads: int
    read_share: float
    pages: int
    wrong: int
    first_wrong: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    """Since the fault began."""

    began: float = 0.0
    answered: int = 0
    refused: int = 0
    pages: int = 0
    wrong: list[str] = field(default_factory=list)
    claims: list[tuple[float, float | None]] = field(default_factory=list)
    """(monotonic time, age of the claim in seconds)."""

    @property
    def reads(self) -> int:
        return self.answered + self.refused

    @property
    def read_share(self) -> float:
        return self.answered / self.reads if self.reads else 1.0


class Drill:
    """`watching`: a client of its own for the one who looks at the claims all the time.  Accounts are for ever, so
    their names begin with a `prefix` of this drill."""

    def __init__(
        self, client: Client, watching: Client, servers: Sequence[Service], rng: random.Random, prefix: str
    ) -> None:
        self._client, self._watching, self._servers = client, watching, servers
        self._rng, self._prefix = rng, prefix
        self._authors: list[int] = []
        self._sources: dict[int, frozenset[int]] = {}
        self._posts: list[Post] = []
        self._scrolls: list[Scroll] = []
        self._bursting: set[asyncio.Task[None]] = set()
        self._tally = _Tally()
        self._hits: tuple[float, float] | None = None

    @property
    def star(self) -> int:
        """Whom everybody follows."""
        return self._authors[0]

    async def settle(self) -> None:
        """Makes the people: authors, and readers who follow all of them."""
        self._authors = [await self._sign_up(f"a{at}") for at in range(AUTHORS)]
        readers = [await self._sign_up(f"r{at}") for at in range(READERS)]
        for reader in readers:
            self._sources[reader] = frozenset((reader, *self._authors))
            acting = self._client.acting_as(reader)
            await asyncio.gather(*(acting.follow(author, timeout_s=PATIENT_S) for author in self._authors))

    async def _sign_up(self, name: str) -> int:
        return (await self._client.create_user(f"{self._prefix}{name}", timeout_s=PATIENT_S)).user.id

    # --- what they do -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        """People post and read inside."""
        readers = list(self._sources)
        work = [
            self._post_for_ever(),
            self._watch(readers[0]),
            *(self._read_for_ever(readers[at::3]) for at in range(3)),
        ]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            for task in (*tasks, *self._bursting):
                task.cancel()
            await asyncio.gather(*tasks, *self._bursting, return_exceptions=True)

    async def burst(self) -> None:
        """The star posts a lot at once; returns with the first ack, when deliveries are under way."""
        posting = {asyncio.create_task(self._post(self.star)) for _ in range(BURST)}
        self._bursting |= posting
        await asyncio.wait(posting, return_when=asyncio.FIRST_COMPLETED)

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

    async def _read_for_ever(self, lane: Sequence[int]) -> None:
        while True:
            try:
                done = await scroll(self._client, self._rng.choice(lane), PAGE)
                self._tally.answered += len(done.pages)
                self._scrolls.append(done)
            except _UNCLEAR:
                self._tally.refused += 1
            await asyncio.sleep(0.05)

    async def _watch(self, reader: int) -> None:
        acting = self._watching.acting_as(reader)
        while True:
            age: float | None = None
            try:
                page = await acting.home_page(page_size=1, timeout_s=2.0)
                claimed_ms = page.info.complete_through.ToMilliseconds()
                age = (now_ms() - claimed_ms) / 1000 if claimed_ms else None
            except errors.RookeryError:
                pass
            self._tally.claims.append((time.monotonic(), age))
            await asyncio.sleep(0.25)

    # --- what is seen -----------------------------------------------------------------------------------------------

    async def now(self) -> Now:
        self._judge()
        of = self._tally
        age = of.claims[-1][1] if of.claims else None
        hits = await self._hit_ratio()
        return Now(time.monotonic() - of.began, of.reads, of.read_share, age, hits, len(of.wrong))

    def _judge(self) -> None:
        scrolls, self._scrolls = self._scrolls, []
        verdict = Oracle(self._sources, self._posts, {}).judge(scrolls)
        self._tally.pages += verdict.pages
        self._tally.wrong += verdict.wrong

    async def calm(self) -> bool:
        """Until pages claim up to ten seconds ago, for two seconds on end; False: they did not."""
        until = time.monotonic() + HEAL_S
        while time.monotonic() < until:
            await asyncio.sleep(0.1)  # the poll of the condition waited for
            since = time.monotonic() - CALM_S
            recent = [age for at, age in self._tally.claims if at >= since]
            long_enough = any(at < since for at, _ in self._tally.claims)
            if recent and long_enough and all(age is not None and age <= BEHIND_S for age in recent):
                return True
        return False

    async def suffer(self, name: str, fault: Callable[[], Awaitable[str]]) -> Round:
        """Breaks it, puts it back, waits until the claims are back.  Raises LocalClusterError when the engines cannot
        be put back."""
        self._judge()
        self._tally = of = _Tally(began=time.monotonic())
        self._hits = None
        try:
            detail = await fault()
        except TimeoutError:
            raise LocalClusterError(f"After '{name}' the engines did not come back within {HEAL_S:.0f} s.") from None
        healed_s = time.monotonic() - of.began
        recovered = await self.calm()
        self._judge()
        behind = [at - of.began for at, age in of.claims if age is None or age > BEHIND_S]
        ages = [age for _, age in of.claims]
        known = [age for age in ages if age is not None]
        return Round(
            name,
            detail,
            round(healed_s, 1),
            round(max(behind, default=0.0), 1),
            recovered,
            round(max(known), 1) if known and len(known) == len(ages) else None,
            of.reads,
            round(of.read_share, 5),
            of.pages,
            len(of.wrong),
            tuple(of.wrong[:5]),
        )

    async def _hit_ratio(self) -> float | None:
        """Of home lists asked for since the last call, on all servers."""
        hits, asked = 0.0, 0.0
        for server in self._servers:
            found = await asyncio.to_thread(_looked_up, server.metrics_url)
            hits, asked = hits + found[0], asked + found[1]
        before, self._hits = self._hits, (hits, asked)
        if before is None or asked <= before[1]:
            return None
        return (hits - before[0]) / (asked - before[1])


def _looked_up(metrics_url: str) -> tuple[float, float]:
    """Hits, and all look-ups, of home lists."""
    name = 'rookery_cache_requests_total{cache="timeline",outcome="'
    try:
        with urllib.request.urlopen(metrics_url, timeout=2) as reply:  # noqa: S310  (a local address)
            lines = [line for line in reply.read().decode().splitlines() if line.startswith(name)]
    except OSError:
        return 0.0, 0.0
    counted = {line.removeprefix(name).split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
    return counted.get("hit", 0.0), sum(counted.values())
