"""Lists of authors who are merged by readers: hot keys, kept for a second by each server (docs/protocols/tier.md)."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Lists
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import IdsRefused, StoreUnavailable
from rookery_server.domain.limits import COPY_LIFE_S
from rookery_server.domain.merge import UNKNOWN, Part
from rookery_server.services.authors import WHOLE_LIST, GatheredAuthors
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.coalesced import Coalesced
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import TweetStore

COPIES_KEPT = 1_000
"""More than an installation has authors that are merged and read every second; 200 ids each are a few MB."""


@dataclass(frozen=True, slots=True)
class PulledList:
    """What is known of one author, and what may be claimed of it: by marks read before it was (C3).  `began`: of the
    read, monotonic seconds."""

    part: Part
    claim_ms: int
    began: float


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
        self._copies: OrderedDict[int, PulledList] = OrderedDict()
        self._reads: Coalesced[PulledList] = Coalesced(self._load, lambda: witness.coalesced("author"))

    async def of(self, author_ids: Collection[int]) -> dict[int, PulledList]:
        """By author.  Absent: neither cache nor store answered, so nothing is known of that one."""
        known = {id_: copy for id_ in author_ids if (copy := self._copy(id_))}
        missing = [id_ for id_ in author_ids if id_ not in known]
        return known | await self._reads.get(missing) if missing else known

    def gathered(self, authors: Iterable[int]) -> GatheredAuthors:
        """A merge of these, for one call."""
        return GatheredAuthors(self._store, self._cache, self._clock, self._new_id, authors)

    def _copy(self, author_id: int) -> PulledList | None:
        copy = self._copies.get(author_id)
        return copy if copy and self._clock.monotonic() - copy.began < COPY_LIFE_S else None

    async def _load(self, author_ids: tuple[int, ...]) -> Mapping[int, PulledList]:
        began = self._clock.monotonic()
        snapshot = await self._claims.snapshot()
        gathered = self.gathered(author_ids)
        await gathered.from_cache(author_ids, WHOLE_LIST)
        # Those the store would have been asked for stay unknown; the others are good.
        with contextlib.suppress(StoreUnavailable, IdsRefused):
            await gathered.load_missing()
        claim_ms = gathered.complete_through_ms(snapshot)
        read = {id_: PulledList(part, claim_ms, began) for id_, part in gathered.parts.items() if part is not UNKNOWN}
        for id_, copy in read.items():
            self._copies[id_] = copy
            self._copies.move_to_end(id_)
        while len(self._copies) > COPIES_KEPT:
            self._copies.popitem(last=False)
        return read
