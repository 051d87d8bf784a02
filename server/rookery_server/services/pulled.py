"""Lists of authors who are merged by readers: hot keys, kept for a second by each server (docs/protocols/tier.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Lists
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import IdsRefused, StoreUnavailable
from rookery_server.domain.limits import PULLED_LISTS_KEPT
from rookery_server.domain.merge import UNKNOWN, Part
from rookery_server.services.authors import WHOLE_LIST, GatheredAuthors
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.coalesced import Coalesced
from rookery_server.services.own_copies import OwnCopies
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import TweetStore


@dataclass(frozen=True, slots=True)
class PulledList:
    """What is known of one author, and what may be claimed of it: by marks read before it was (C3)."""

    part: Part
    claim_ms: int


class PulledLists:
    """One for each server process.  A list that is absent is loaded from the store once for all who ask."""

    def __init__(
        self,
        store: TweetStore,
        cache: Lists,
        clock: Clock,
        new_id: Callable[[], int],
        claims: ClaimTracker,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock, self._new_id, self._claims = store, cache, clock, new_id, claims
        self._copies: OwnCopies[PulledList] = OwnCopies(clock, PULLED_LISTS_KEPT)
        self._reads: Coalesced[PulledList] = Coalesced(self._load, lambda: witness.coalesced("author"))

    async def of(self, author_ids: Collection[int]) -> dict[int, PulledList]:
        """By author.  Absent: neither cache nor store answered, so nothing is known of that one."""
        known = self._copies.of(author_ids)
        missing = [id_ for id_ in author_ids if id_ not in known]
        return known | await self._reads.get(missing) if missing else known

    def gathered(self, authors: Iterable[int], rows_ms: int | None = None) -> GatheredAuthors:
        """A merge of these, for one call.  `rows_ms`: what rows could claim before it was asked whose lists to merge;
        None: now."""
        began_ms = self._claims.by_rows_ms() if rows_ms is None else rows_ms
        return GatheredAuthors(self._store, self._cache, self._clock, self._new_id, began_ms, authors)

    async def _load(self, author_ids: tuple[int, ...]) -> Mapping[int, PulledList]:
        began = self._clock.monotonic()
        snapshot = await self._claims.snapshot()
        gathered = self.gathered(author_ids)
        await gathered.from_cache(author_ids, WHOLE_LIST)
        # Those the store would have been asked for stay unknown; the others are good.
        with contextlib.suppress(StoreUnavailable, IdsRefused):
            await gathered.load_missing()
        claim_ms = gathered.complete_through_ms(snapshot)
        read = {id_: PulledList(part, claim_ms) for id_, part in gathered.parts.items() if part is not UNKNOWN}
        for id_, pulled in read.items():
            self._copies.keep(id_, pulled, began)
        return read
