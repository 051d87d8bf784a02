"""Pages out of the authors' own rows, as deep as they are asked for and to the end of history (B12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rookery_server.domain.limits import PAGE_DEFAULT
from rookery_server.domain.merge import Part
from rookery_server.services.authors import WHOLE_LIST, GatheredAuthors
from rookery_server.services.bounded import Slots
from rookery_server.services.claims import Snapshot
from rookery_server.services.pages import PageSource

_ROWS = PAGE_DEFAULT
"""The least one read fetches: a page that lacks one tweet would otherwise go on row by row."""


class History:
    """One call's merge of many authors.

    `gather`: the authors to merge, asked for only when the first slice is.  `lists`: the snapshot that vouches for the
    author lists of the cache, None = use none.
    """

    def __init__(
        self,
        gather: Callable[[], Awaitable[GatheredAuthors]],
        lists: Snapshot | None,
        slots: Slots,
        source: PageSource = PageSource.HISTORY,
    ):
        self._gather, self._lists, self._slots = gather, lists, slots
        self._gathered: GatheredAuthors | None = None
        self.source = source

    async def slice(self, below: int, want: int) -> Part:
        """The newest `want` ids below `below`; complete down to the part's floor.  Raises CapReached,
        StoreUnavailable."""
        async with self._slots.take():
            gathered = self._gathered or await self._begin()
            while (merged := gathered.merge(below, want)).blocked:
                await gathered.deepen(merged.blocked, below, max(want, _ROWS))
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
