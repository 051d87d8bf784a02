"""Building home lists: the protocol of docs/protocols/build.md, B1 to B8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Cache, HomeRead, Link
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, CapReached, Unavailable
from rookery_server.domain.limits import (
    BUILD_STORE_WITHIN_S,
    BUILDS_PER_PROCESS,
    GATHER_FACTOR,
    GATHER_MIN,
    HOME_KEPT,
    PAGE_MAX,
    SLOT_WAIT_S,
)
from rookery_server.domain.merge import Part
from rookery_server.domain.models import Edge, Relations
from rookery_server.services.authors import GatheredAuthors, gather_for_build
from rookery_server.services.bounded import Slots
from rookery_server.services.claims import ClaimTracker, Snapshot
from rookery_server.services.coalesced import Coalesced
from rookery_server.services.loading import Loading
from rookery_server.services.relations import followees_of
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import Store


@dataclass(frozen=True, slots=True)
class Built:
    """What a build found, stored or not.  `part`: the newest ids down to the build's floor."""

    part: Part
    relations: Relations
    following: frozenset[int]
    complete_through_ms: int
    stored: bool


def usable(read: HomeRead, relations: Relations, not_before_ms: int) -> bool:
    """Whether a list stands for these relations (R3) and was built at that time or later (T5)."""
    return read.exists and read.built_under == relations.version and read.built_ms >= not_before_ms


class Builds:
    """One build per user at a time in this process; whoever comes meanwhile gets the next look."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        claims: ClaimTracker,
        tiers: TierDirectory,
        gathered: Callable[[Iterable[int], int], GatheredAuthors],
        witness: Witness = SILENT,
    ):
        """`gathered`: a merge of these authors, of whom it was asked when rows could claim so much, for one build."""
        self._store, self._cache, self._clock, self._new_id, self._claims = store, cache, clock, new_id, claims
        self._gathered = gathered
        self._tiers, self._loading, self._witness = tiers, Loading(store, cache, clock, tiers), witness
        self._slots = Slots(BUILDS_PER_PROCESS, SLOT_WAIT_S)
        self._running: Coalesced[Built] = Coalesced(self._load, lambda: witness.coalesced("timeline"))

    async def build(self, user_id: int) -> Built | None:
        """Builds the list of a user.  None: it is there by now, built by somebody else: look again.
        Raises CapReached, CacheUnavailable, StoreUnavailable, IdsRefused."""
        return (await self._running.get([user_id])).get(user_id)

    async def _load(self, user_ids: tuple[int, ...]) -> Mapping[int, Built]:
        built: dict[int, Built] = {}
        for user_id in user_ids:
            result = await self._watched(user_id)
            if result is not None:
                built[user_id] = result
        return built

    async def _watched(self, user_id: int) -> Built | None:
        """A build in its slot, and what became of it for whoever counts."""
        try:
            async with self._slots.take():
                self._witness.building(1)
                try:
                    return await self._build_unless_there(user_id)
                finally:
                    self._witness.building(-1)
        except CapReached:
            self._witness.built("capped")
            raise
        except Unavailable:
            self._witness.built("failed")
            raise

    async def _build_unless_there(self, user_id: int) -> Built | None:
        seen = await self._cache.read_home(user_id, 0, 1)
        known, not_before_ms = seen.relations.relations, self._tiers.rebuild_before_ms()
        if known is not None and usable(seen, known, not_before_ms):
            return None
        started, built_ms = self._clock.monotonic(), self._clock.now_ms()
        token = -self._new_id()
        link = await self._cache.begin_home(user_id, token)
        # Both only now: what is stored must have been read behind the token, and marks before the lists they vouch for.
        snapshot, rows_ms = await self._claims.refresh(), self._claims.by_rows_ms()
        loaded = await self._loading.load(user_id, seen.relations)
        relations, edges = loaded.relations, loaded.edges
        gathered, part = await self._gather(user_id, edges, rows_ms)
        stored = False
        if link is not None and self._may_store(started, snapshot, gathered, link):
            stored = await self._finish(user_id, token, part, relations, link, built_ms)
        self._witness.built("stored" if stored else "served")
        reason = "absent" if not seen.exists else "age" if seen.built_ms < not_before_ms else "relations"
        self._witness.build_time(reason, self._clock.monotonic() - started)
        return Built(part, relations, followees_of(edges), gathered.complete_through_ms(snapshot), stored)

    async def _gather(self, user_id: int, edges: tuple[Edge, ...], rows_ms: int) -> tuple[GatheredAuthors, Part]:
        authors = followees_of(edges) | {user_id}
        gathered = self._gathered(authors, rows_ms)
        depth = max(GATHER_MIN, GATHER_FACTOR * HOME_KEPT // len(authors))
        return gathered, await gather_for_build(gathered, depth, HOME_KEPT, enough=PAGE_MAX)

    def _may_store(self, started: float, snapshot: Snapshot, gathered: GatheredAuthors, link: Link) -> bool:
        """In time (B6), and only of lists that are vouched for: a node that is new or was emptied gets its past from
        nobody but a build, so its author lists may lack what this list would then lack for ever."""
        in_time = self._clock.monotonic() - started <= BUILD_STORE_WITHIN_S
        return in_time and snapshot.vouches_for(gathered.links | {link})

    async def _finish(
        self, user_id: int, token: int, part: Part, relations: Relations, link: Link, built_ms: int
    ) -> bool:
        whole = part.floor == 0
        if not part.ids and not whole:
            return False  # a list of nothing and no end mark would say nothing
        try:
            return await self._cache.finish_home(user_id, token, part.ids, whole, relations.version, link, built_ms)
        except CacheUnavailable:
            return False
