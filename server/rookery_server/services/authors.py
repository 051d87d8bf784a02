"""What one call gathers of the authors it merges: cached lists where they are there, rows of the store where not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from rookery_server.cache.interface import Link, Lists, LoadedList
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.limits import (
    AUTHOR_KEPT,
    AUTHOR_TRIM_AT,
    AUTHORS_A_WAVE,
    BUILD_STORE_WITHIN_S,
    GATHER_FACTOR,
    INNER_READS,
    PAGE_DEFAULT,
    WAVES,
)
from rookery_server.domain.merge import UNKNOWN, Merged, Part, merge, sliced
from rookery_server.services.bounded import each
from rookery_server.services.claims import Snapshot
from rookery_server.store.interface import TweetStore, UserTweetIds

WHOLE_LIST = 4 * AUTHOR_TRIM_AT
"""Deep enough to reach the end of any author list, trimmed late or not."""


_IDS_AT_ONCE = 200_000
"""Ids asked for in one read: a few tens of ms of decoding.  More than any build reads at its first depth."""

ROWS_AT_LEAST = PAGE_DEFAULT
"""The least one read of rows fetches: a page that lacks one tweet would otherwise go on row by row."""


class GatheredAuthors:
    """The parts of many authors, each known down to its floor, and what they may claim together.

    One call goes through it from the newest ids down and never back up, so a part is complete *below where the call
    is*, down to its floor.  `links`: the connections lists were read over.
    """

    def __init__(
        self,
        store: TweetStore,
        cache: Lists,
        clock: Clock,
        new_id: Callable[[], int],
        rows_ms: int,
        authors: Iterable[int],
    ):
        """`rows_ms`: what rows could claim (Unix ms) before it was known who the authors are: who is followed
        meanwhile is not among them."""
        self._store, self._cache, self._clock, self._new_id, self._rows_ms = store, cache, clock, new_id, rows_ms
        self.parts: dict[int, Part] = dict.fromkeys(authors, UNKNOWN)
        self.links: set[Link] = set()
        self._cut: set[int] = set()
        self._asked_store = False
        self._adopted_ms: list[int] = []

    def adopt(self, author: int, part: Part, claim_ms: int) -> None:
        """Takes over what another call read, with its claim."""
        self.parts[author] = part
        self._adopted_ms.append(claim_ms)

    def merge(self, below: int, want: int) -> Merged:
        return merge(self.parts, below, want)

    def missing(self) -> tuple[int, ...]:
        """Authors nothing is known of yet."""
        return tuple(author for author, part in self.parts.items() if part is UNKNOWN)

    def cut_short(self, authors: Iterable[int]) -> tuple[int, ...]:
        """Those of `authors` whose cached list goes on below what was read of it."""
        return tuple(author for author in authors if author in self._cut)

    def complete_through_ms(self, snapshot: Snapshot) -> int:
        """The least of: what the lists may claim, if any was used; what rows could, if any was read; what was taken
        over."""
        claims = [snapshot.claim_for(self.links)] if self.links else []
        claims += self._adopted_ms
        if self._asked_store:
            claims.append(self._rows_ms)
        return min(claims, default=0)

    async def from_cache(self, authors: Collection[int], depth: int, vouched_by: Snapshot | None = None) -> None:
        """Reads the newest `depth` positions of each list; what is missing, or not vouched for where that is asked,
        stays as it was.  Some at a time: the ids of thousands of whole lists would hold up everybody else here."""
        wanted, at_once = tuple(authors), max(1, _IDS_AT_ONCE // depth)
        for first in range(0, len(wanted), at_once):
            await self._some_from_cache(wanted[first : first + at_once], depth, vouched_by)

    async def _some_from_cache(self, authors: tuple[int, ...], depth: int, vouched_by: Snapshot | None) -> None:
        try:
            lists = await self._cache.read_authors(authors, depth)
        except CacheUnavailable:
            return
        for author, read in lists.items():
            part = sliced(read.ids, read.whole)
            if not read.exists or part is UNKNOWN or (vouched_by and not vouched_by.vouches_for([read.link])):
                continue
            self.parts[author] = part
            self.links.add(read.link)
            (self._cut.discard if read.reached_end else self._cut.add)(author)

    async def deepen(self, authors: Collection[int], below: int, want: int) -> None:
        """Reads `want` more rows of each from the store, below what is known of it and below `below`."""

        async def some(wave: tuple[int, ...]) -> None:
            before = {author: min(below, self.parts[author].floor) for author in wave}
            self._asked_store = True
            found = await self._store.tweet_ids_by_user(
                {author: floor if floor < UNKNOWN.floor else None for author, floor in before.items()}, want
            )
            for author, read in found.items():
                self.parts[author] = Part(self.parts[author].ids + read.ids, _floor_of(read))

        await each(_waves(tuple(authors)), WAVES, some)

    async def load_missing(self) -> None:
        """Loads the lists nothing is known of from the store, and stores them in the cache by the token protocol: a
        wave at a time, each kept by itself (B4).  One that fails is the last to begin; those under way are kept."""
        failed: list[StoreUnavailable] = []

        async def load(authors: tuple[int, ...]) -> None:
            try:
                if not failed:
                    await self._load_wave(authors)
            except StoreUnavailable as error:
                failed.append(error)

        await each(_waves(self.missing()), WAVES, load)
        if failed:
            raise failed[0]

    async def _load_wave(self, authors: tuple[int, ...]) -> None:
        started, token = self._clock.monotonic(), -self._new_id()
        links = await self._cache.begin_authors(authors, token)
        self._asked_store = True
        try:
            found = await self._store.tweet_ids_by_user(dict.fromkeys(authors), AUTHOR_KEPT)
        except StoreUnavailable:
            await self._cache.finish_authors([_nothing(*begun) for begun in links.items()], token)
            raise
        self.parts.update((author, Part(read.ids, _floor_of(read))) for author, read in found.items())
        in_time = self._clock.monotonic() - started <= BUILD_STORE_WITHIN_S
        lists = [
            LoadedList(id_, found[id_].ids, found[id_].end, link) if in_time else _nothing(id_, link)
            for id_, link in links.items()
        ]
        await self._cache.finish_authors(lists, token)


def _waves(authors: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [authors[at : at + AUTHORS_A_WAVE] for at in range(0, len(authors), AUTHORS_A_WAVE)]


def _nothing(author: int, link: Link) -> LoadedList:
    """Takes the token away, so that the next load need not wait for its end."""
    return LoadedList(author, (), False, link)


def _floor_of(read: UserTweetIds) -> int:
    """Rows of the store are in exact order, so they are known down to the last one, without slack."""
    if read.end:
        return 0
    if not read.ids:
        raise StoreUnavailable  # neither rows nor an end: better no answer than a made-up end of history
    return read.ids[-1]


async def gather_for_build(gathered: GatheredAuthors, depth: int, want: int, enough: int) -> Part:
    """What a build may keep: the newest `want` ids down to the highest floor of the sources (docs/protocols/build.md,
    B4 and B5).  When that leaves fewer than `enough`, the few sources in the way are read from the store."""
    await gathered.from_cache(tuple(gathered.parts), depth)
    await gathered.load_missing()
    merged = gathered.merge(UNKNOWN.floor, want)
    if again := gathered.cut_short(merged.blocked):
        await gathered.from_cache(again, WHOLE_LIST)
        merged = gathered.merge(UNKNOWN.floor, want)
    if len(merged.part.ids) < enough and 0 < len(merged.blocked) <= INNER_READS:
        await gathered.deepen(merged.blocked, UNKNOWN.floor, want)
        merged = gathered.merge(UNKNOWN.floor, want)
    return merged.part


async def gather_below(
    gathered: GatheredAuthors, vouched_by: Snapshot | None, below: int, want: int, enough: int
) -> Part:
    """About the newest `want` ids below `below`, at least `enough` unless history ends first, complete down to the
    part's floor.  Each round reads every author in the way twice as deep as the one before, from three times an even
    share on: a reader of thousands costs a few short reads of each, and one busy author no hundred rounds."""
    if vouched_by is not None:
        await gathered.from_cache(gathered.missing(), WHOLE_LIST, vouched_by)
    depth = min(want, max(ROWS_AT_LEAST, GATHER_FACTOR * want // len(gathered.parts)))
    while (merged := gathered.merge(below, want)).blocked:
        if len(merged.part.ids) >= enough:
            break
        await gathered.deepen(merged.blocked, below, depth)
        depth = min(2 * depth, want)
    return merged.part
