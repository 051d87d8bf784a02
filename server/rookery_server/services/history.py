"""Pages out of the authors' own rows, as deep as they are asked for and to the end of history (B12, B18)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rookery_server.cache.interface import HistoryRead, Lists
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import DEGRADED_AFTER_MS, HOME_KEPT, PAGE_MAX
from rookery_server.domain.merge import Part
from rookery_server.services.authors import ROWS_AT_LEAST, WHOLE_LIST, GatheredAuthors, gather_below
from rookery_server.services.bounded import Slots
from rookery_server.services.claims import Snapshot
from rookery_server.services.pages import PageSource

Gather = Callable[[], Awaitable[GatheredAuthors]]
"""The authors to merge, asked for only when the first slice is."""


class History:
    """One call's merge of many authors.  `lists`: the snapshot that vouches for the author lists of the cache, None =
    use none."""

    def __init__(self, gather: Gather, lists: Snapshot | None, slots: Slots, source: PageSource = PageSource.HISTORY):
        self._gather, self._lists, self._slots = gather, lists, slots
        self._gathered: GatheredAuthors | None = None
        self.source = source

    async def slice(self, below: int, want: int) -> Part:
        """The newest `want` ids below `below`; complete down to the part's floor.  Raises CapReached,
        StoreUnavailable."""
        async with self._slots.take():
            gathered = self._gathered or await self._begin()
            while (merged := gathered.merge(below, want)).blocked:
                await gathered.deepen(merged.blocked, below, max(want, ROWS_AT_LEAST))
            return merged.part

    async def _begin(self) -> GatheredAuthors:
        gathered = await self._gather()
        if self._lists is not None:
            await gathered.from_cache(gathered.missing(), WHOLE_LIST, self._lists)
        self._gathered = gathered
        return gathered

    def complete_through_ms(self) -> int | None:
        """What the merge may claim; None while nothing was read."""
        if self._gathered is None:
            return None
        return self._gathered.complete_through_ms(self._lists or Snapshot())

    def lively_claim_ms(self) -> int | None:
        return self.complete_through_ms()


@dataclass(frozen=True, slots=True)
class Deep:
    """Whose history, under which relations.  `seen`: their bytes as they stood in the cache before anything of the
    truth was read for it."""

    user_id: int
    version: int
    seen: bytes


class Stretches:
    """Merges of history, one for each server process: each fetches the next 800 ids and keeps them for the pages to
    come.  A merge goes on when its caller is gone, so that who asks again, after a deadline that was too short for a
    reader of thousands, finds it done."""

    def __init__(self, cache: Lists, clock: Clock, slots: Slots):
        self._cache, self._clock, self._slots = cache, clock, slots
        self._running: dict[tuple[Deep, int], asyncio.Task[HistoryRead]] = {}

    async def kept(self, deep: Deep) -> HistoryRead | None:
        """What was kept under the same relations."""
        try:
            read = await self._cache.read_history(deep.user_id)
        except CacheUnavailable:
            return None
        return read if read is not None and read.version == deep.version else None

    async def merge(self, deep: Deep, below: int, gather: Gather, lists: Snapshot | None) -> HistoryRead:
        """Raises CapReached, StoreUnavailable."""
        task = self._running.get((deep, below))
        if task is None:
            task = asyncio.create_task(self._merge(deep, below, gather, lists))
            self._running[deep, below] = task
            task.add_done_callback(lambda done: self._ended(deep, below, done))
        return await asyncio.shield(task)

    def _ended(self, deep: Deep, below: int, task: asyncio.Task[HistoryRead]) -> None:
        del self._running[deep, below]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone; then nobody else looks at it

    async def _merge(self, deep: Deep, below: int, gather: Gather, lists: Snapshot | None) -> HistoryRead:
        async with self._slots.take():
            gathered = await gather()
            part = await gather_below(gathered, lists, below, HOME_KEPT, enough=PAGE_MAX)
        claim_ms = gathered.complete_through_ms(lists or Snapshot())
        found = HistoryRead(below, part.floor, part.ids, deep.version, claim_ms)
        if self._clock.now_ms() - claim_ms <= DEGRADED_AFTER_MS:
            await self._keep(deep, found)
        return found

    async def _keep(self, deep: Deep, found: HistoryRead) -> None:
        try:
            await self._cache.store_history(deep.user_id, deep.seen, found)
        except CacheUnavailable:
            return  # the next page merges again


class KeptHistory:
    """History below a cached list, out of stretches (B18).  `known_since_ms`: a stretch that claims less is not good
    enough (a consistency token names a later write)."""

    source = PageSource.HISTORY

    def __init__(
        self, stretches: Stretches, deep: Deep, gather: Gather, lists: Snapshot | None, known_since_ms: int = 0
    ):
        self._stretches, self._deep, self._gather, self._lists = stretches, deep, gather, lists
        self._known_since_ms = known_since_ms
        self._stretch: HistoryRead | None = None
        self._claims: list[int] = []
        self._merged_claims: list[int] = []

    async def slice(self, below: int, want: int) -> Part:
        """Raises CapReached, StoreUnavailable."""
        stretch = self._stretch
        if stretch is None:
            stretch = await self._stretches.kept(self._deep)
            if stretch is not None and stretch.claim_ms < self._known_since_ms:
                stretch = None
        if stretch is None or not stretch.floor < below <= stretch.below:
            stretch = await self._stretches.merge(self._deep, below, self._gather, self._lists)
            self._merged_claims.append(stretch.claim_ms)
        self._stretch = stretch
        self._claims.append(stretch.claim_ms)
        return Part(tuple(id_ for id_ in stretch.ids if id_ < below), stretch.floor)

    def complete_through_ms(self) -> int | None:
        return min(self._claims, default=None)

    def lively_claim_ms(self) -> int | None:
        """Of what was merged in this call: a stretch that was kept is older, and says nothing of how delivery is."""
        return min(self._merged_claims, default=None)
