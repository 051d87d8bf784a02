"""The skeleton of a home page: which ids come next, from the cached list first and from history below it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from rookery_server.cache.interface import HomeRead, Lists
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import SLICE_EXTRA
from rookery_server.domain.merge import UNKNOWN, Part, covers_from, hint_for, join, sliced
from rookery_server.domain.rules import Viewer
from rookery_server.services.claims import Snapshot
from rookery_server.services.history import History
from rookery_server.services.pages import PageSource

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


class ListSource:
    """Slices of a cached list (B9, B10).  Each is read in one piece, so nothing can move past a border between two,
    and all over one connection, so that one claim is true of them."""

    source = PageSource.LIST

    def __init__(self, cache: Lists, user_id: int, snapshot: Snapshot, first: HomeRead, start: int, count: int):
        """`first`: positions [start, start + count), read after `snapshot`."""
        self._cache, self._user_id, self._snapshot = cache, user_id, snapshot
        self._read, self._start, self._count = first, start, count
        self._link, self._built_under = first.link, first.built_under
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
        """Reads wider.  A list that is gone, stands for other relations by now or was read over another connection
        knows nothing more."""
        try:
            read = await self._cache.read_home(self._user_id, start, count)
        except CacheUnavailable:
            self._gone = True
            return
        self._read, self._start, self._count = read, start, count
        self._gone = not read.exists or (read.link, read.built_under) != (self._link, self._built_under)

    def complete_through_ms(self) -> int:
        return self._snapshot.claim_for([self._link])

    def hint(self, below: int) -> int:
        """Where the next page may begin to read."""
        return 0 if self._gone else hint_for(self._read.ids, self._start, below)


class BuiltSource:
    """What a build of this very call found."""

    source = PageSource.BUILD

    def __init__(self, part: Part, complete_through_ms: int):
        self._part, self._complete_through_ms = part, complete_through_ms

    async def slice(self, below: int, want: int) -> Part:
        return Part(tuple(id_ for id_ in self._part.ids if id_ < below), self._part.floor)

    def complete_through_ms(self) -> int:
        return self._complete_through_ms


@dataclass(slots=True)
class Reading:
    """The sources of one page, and what is true of all of it.

    `sources`: each goes on where the one before it knows no more; the last is a history, which goes on to the end.
    `listed`: the cached list among them, if there is one.
    `named`: the rows of an author a consistency token names.  `unproven`: the relations could not be checked, so
    nothing is claimed.  `bypass`: tweets whose cached bodies are not good enough.
    """

    viewer: Viewer
    sources: list[Source]
    listed: ListSource | None = None
    cache_away: bool = False
    unproven: bool = False
    named: History | None = None
    bypass: frozenset[int] = frozenset()
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
        if self.unproven:
            return 0
        claims = [source.complete_through_ms() for source in self._used]
        if self.named is not None:
            claims.append(self.named.complete_through_ms())
        return min((claim for claim in claims if claim is not None), default=0)

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
