"""The skeleton of a home page: which ids come next, from the cached list first and from history below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rookery_server.cache.interface import HomeRead, Link, Lists
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import SLICE_EXTRA
from rookery_server.domain.merge import UNKNOWN, Part, covers_from, hint_for, join, merge, sliced
from rookery_server.domain.rules import Viewer
from rookery_server.services.authors import ROWS_AT_LEAST, GatheredAuthors
from rookery_server.services.claims import ClaimTracker, Snapshot
from rookery_server.services.history import History
from rookery_server.services.pages import PageSource
from rookery_server.services.pulled import PulledList

_LIST = 0
"""Where the list stands among the authors of a merge: no account has this id."""
_WIDEN = 4
"""Each wider slice is four times the last: a list of 864 is read whole after two more trips."""


class Source(Protocol):
    """Something ids come from, newest first.  `slice` answers every id of [part.floor, below) it knows of; a floor
    that is not below `below` means that it knows nothing more down there."""

    @property
    def source(self) -> PageSource: ...

    async def slice(self, below: int, want: int) -> Part: ...

    def complete_through_ms(self) -> int | None:
        """None: nothing was read, so nothing need be claimed."""
        ...

    def lively_claim_ms(self) -> int | None:
        """The same without what was kept for later pages, whose age says nothing of how delivery is."""
        ...


class ListSource:
    """Slices of a cached list (B9, B10).  Each is read in one piece, so nothing can move past a border between two,
    and all over one connection, so that one claim is true of them."""

    source = PageSource.LIST

    def __init__(
        self,
        cache: Lists,
        claims: ClaimTracker,
        user_id: int,
        snapshot: Snapshot,
        first: HomeRead,
        start: int,
        count: int,
    ):
        """`first`: positions [start, start + count), read after `snapshot`."""
        self._cache, self._claims, self._user_id = cache, claims, user_id
        self._read, self._start, self._count = first, start, count
        self._same = _build_of(first)
        self._claim_ms = snapshot.claim_for([first.link])
        self._gone = False

    async def slice(self, below: int, want: int) -> Part:
        while not self._gone:
            if self._start and not covers_from(self._read.ids, below):
                await self._read_again(0, self._start + self._count)
                continue
            known = sliced(self._read.ids, self._read.whole and self._read.reached_end)
            ids = tuple(id_ for id_ in known.ids if id_ < below)
            if len(ids) >= want or self._read.reached_end:
                return Part(ids, known.floor)
            await self._read_again(self._start, self._count * _WIDEN)
        return UNKNOWN

    async def _read_again(self, start: int, count: int) -> None:
        """Reads wider.  A list that is gone, was built anew or was read over another connection knows nothing
        more.  The page may have taken long since its marks were read: what is read now is vouched for by
        marks of now, and all of it claims the least (B21)."""
        snapshot = await self._claims.snapshot()
        try:
            read = await self._cache.read_home(self._user_id, start, count)
        except CacheUnavailable:
            self._gone = True
            return
        self._read, self._start, self._count = read, start, count
        self._gone = not read.exists or _build_of(read) != self._same
        if not self._gone:
            self._claim_ms = min(self._claim_ms, snapshot.claim_for([read.link]))

    @property
    def seen(self) -> HomeRead:
        """What was last read of the list."""
        return self._read

    def complete_through_ms(self) -> int:
        return self._claim_ms

    def lively_claim_ms(self) -> int:
        return self._claim_ms

    def hint(self, below: int) -> int:
        """Where the next page may begin to read."""
        return 0 if self._gone else hint_for(self._read.ids, self._start, below)


def _build_of(read: HomeRead) -> tuple[Link, int | None, int]:
    """What tells one build of a list from the next, as read over one connection."""
    return read.link, read.built_under, read.built_ms


class PulledSource:
    """A cached list together with the lists of the authors who are not delivered into it (T7 of
    docs/protocols/tier.md).

    Both are only known down to a floor.  Above the list's own, authors in the way are read deeper in the store; below
    it the list knows nothing, and so nor does this."""

    source = PageSource.LIST

    def __init__(self, listed: ListSource, pulled: Mapping[int, PulledList], gathered: GatheredAuthors):
        """`gathered`: of exactly the authors of `pulled`, nothing known of them yet."""
        self._listed, self._gathered = listed, gathered
        for author, known in pulled.items():
            gathered.adopt(author, known.part, known.claim_ms)

    async def slice(self, below: int, want: int) -> Part:
        """Raises StoreUnavailable."""
        part = await self._listed.slice(below, want)
        if part.floor >= below:
            return UNKNOWN
        while True:
            merged = merge({_LIST: part, **self._gathered.parts}, below, want)
            in_the_way = [id_ for id_ in merged.blocked if id_ != _LIST and self._floor_of(id_) > part.floor]
            if not in_the_way:
                return merged.part
            await self._gathered.deepen(in_the_way, below, max(want, ROWS_AT_LEAST))

    def _floor_of(self, author: int) -> int:
        return self._gathered.parts[author].floor

    def complete_through_ms(self) -> int:
        return min(self._listed.complete_through_ms(), self._gathered.complete_through_ms(Snapshot()))

    def lively_claim_ms(self) -> int:
        return self.complete_through_ms()


class BuiltSource:
    """What a build of this very call found."""

    source = PageSource.BUILD

    def __init__(self, part: Part, complete_through_ms: int):
        self._part, self._complete_through_ms = part, complete_through_ms

    async def slice(self, below: int, want: int) -> Part:
        return Part(tuple(id_ for id_ in self._part.ids if id_ < below), self._part.floor)

    def complete_through_ms(self) -> int:
        return self._complete_through_ms

    def lively_claim_ms(self) -> int:
        return self._complete_through_ms


@dataclass(slots=True)
class Reading:
    """The sources of one page, and what is true of all of it.

    `sources`: each goes on where the one before it knows no more; the last is a history, which goes on to the end.
    `listed`: the cached list among them, if there is one.  `named`: the rows of an author a consistency token names.
    `unproven`: the relations could not be checked.  `lacking`: authors to merge are not known, or nothing of them could
    be read.  Either way nothing is claimed.  `marks`: read before anything that tweets are judged by.  `bypass`,
    `named_accounts`: tweets whose cached bodies, and accounts whose cached standings are not good enough.
    """

    viewer: Viewer
    sources: list[Source]
    listed: ListSource | None = None
    cache_away: bool = False
    unproven: bool = False
    lacking: bool = False
    marks: Snapshot = field(default_factory=Snapshot)
    named: History | None = None
    bypass: frozenset[int] = frozenset()
    named_accounts: frozenset[int] = frozenset()
    _used: list[Source] = field(default_factory=list)

    async def slice(self, below: int, want: int) -> Part:
        """Every id of [part.floor, below), newest first, at least `want` of them unless the floor is 0 or a source
        ends there; the floor is always below `below`."""
        part = await self._next(below, want)
        if self.named is None:
            return part
        return join(part, await self.named.slice(below, want))

    async def _next(self, below: int, want: int) -> Part:
        while True:
            source = self.sources[0]
            part = await source.slice(below, want)
            if part.floor < below or len(self.sources) == 1:
                if source not in self._used:
                    self._used.append(source)
                return part
            self.sources.pop(0)

    def complete_through_ms(self) -> int:
        """The least of all parts that were used (B14); 0 = nothing is claimed."""
        if self.unproven or self.lacking:
            return 0
        return min((claim for part in self._parts() if (claim := part.complete_through_ms()) is not None), default=0)

    def lively_claim_ms(self) -> int | None:
        """The same without stretches kept from earlier pages (B18); None = there is nothing else in it."""
        if self.unproven or self.lacking:
            return 0
        return min((claim for part in self._parts() if (claim := part.lively_claim_ms()) is not None), default=None)

    def _parts(self) -> list[Source]:
        return self._used + ([self.named] if self.named is not None else [])

    def opening_claim_ms(self) -> int:
        """What the first source claims before anything is read of it; 0 = nothing."""
        return self.sources[0].complete_through_ms() or 0

    def hint(self, below: int) -> int:
        """Where in the list the next page may begin to read."""
        return self.listed.hint(below) if self.listed else 0

    def source(self) -> PageSource:
        """Where the oldest tweets of the page came from."""
        return (self._used or self.sources)[-1].source


def first_count(size: int) -> int:
    """How much of a list the first slice of a page reads."""
    return 2 * size + SLICE_EXTRA
