"""Where a home page's ids come from: the cached list, a build, or a merge of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rookery_server.cache.interface import Cache, HomeRead
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, CapReached, IdsRefused, StoreUnavailable
from rookery_server.domain.limits import MERGES_PER_PROCESS, SLOT_WAIT_S
from rookery_server.domain.models import Relations
from rookery_server.domain.rules import Viewer
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.authors import GatheredAuthors
from rookery_server.services.bounded import Slots
from rookery_server.services.builds import Builds, Built, usable
from rookery_server.services.claims import ClaimTracker, Snapshot
from rookery_server.services.history import Deep, Gather, History, KeptHistory, Stretches
from rookery_server.services.loading import Loaded, Loading
from rookery_server.services.pages import PageSource
from rookery_server.services.pulled import PulledLists
from rookery_server.services.reading import BuiltSource, ListSource, PulledSource, Reading, Source, first_count
from rookery_server.services.relations import followees_of
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tokens import named_author, named_tweets, named_users, speaks_of_relations
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import Store

_LOOKS = 3
"""Looks at a list that others keep building and removing; then the page is merged."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a call needs: so many tweets, beginning to look at that position of the list, seeing that write."""

    size: int
    hint: int = 0
    token: ConsistencyToken | None = None


class Skeletons:
    """One for each server process."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        claims: ClaimTracker,
        tiers: TierDirectory,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._claims, self._tiers, self._witness = store, cache, claims, tiers, witness
        self._loading = Loading(store, cache, clock, tiers)
        self._pulled = PulledLists(store, cache, clock, new_id, claims, witness)
        self._merges = Slots(MERGES_PER_PROCESS, SLOT_WAIT_S)
        self._stretches = Stretches(cache, clock, self._merges)
        self.builds = Builds(store, cache, clock, new_id, claims, tiers, self._pulled.gathered, witness)

    async def open(self, user_id: int, want: Want) -> Reading:
        """Raises CapReached and StoreUnavailable."""
        try:
            reading = await self._look(user_id, want)
        except CacheUnavailable:
            self._witness.cache("timeline", "error")
            reading = await self._merge(user_id, None)
        except (CapReached, IdsRefused):
            reading = await self._merge(user_id, await self._claims.snapshot())
        token = want.token
        if token is None:
            return reading
        reading = replace(reading, named_accounts=named_users(token))
        if reading.listed and speaks_of_relations(token, user_id) and reading.opening_claim_ms() < token.event_ms:
            # The list may stand for the relations as they were; what is built or merged in this call cannot.
            reading = await self._merge(user_id, await self._claims.snapshot())
        return await self._with_named(reading, user_id, token)

    async def _look(self, user_id: int, want: Want) -> Reading:
        """The list, or what building it gives."""
        for _ in range(_LOOKS):
            snapshot = await self._claims.snapshot()
            reading = await self.listed(user_id, snapshot, want)
            if reading is not None:
                return reading
            rows_ms = self._claims.by_rows_ms()
            built = await self.builds.build(user_id)
            if built is not None:
                return self._from_build(user_id, snapshot, built, rows_ms)
        return await self._merge(user_id, snapshot)

    async def listed(self, user_id: int, snapshot: Snapshot, want: Want) -> Reading | None:
        """From the cached list, the lists of pull authors with it.  `snapshot`: read before.  None: there is no list
        that stands for the relations as they are.  Raises CacheUnavailable, StoreUnavailable."""
        count = first_count(want.size)
        read = await self._cache.read_home(user_id, want.hint, count)
        if read.exists and self._claims.may_precede(snapshot, read.built_ms):
            # Made by another server of what a primary's successor holds, perhaps, which these marks know nothing of.
            built_ms, snapshot = read.built_ms, await self._claims.anew()
            read = await self._cache.read_home(user_id, want.hint, count)
            snapshot = snapshot if read.built_ms == built_ms else Snapshot()
        if not read.exists:
            self._witness.cache("timeline", "absent")
            return None
        known, loaded = read.relations.relations, None
        self._witness.cache("relation", "absent" if known is None else "hit")
        if known is None:
            loaded = await self._load(user_id, read)
        # Without a quorum nobody can tell what was removed: the cached page, and it says so (B17).
        relations = known or (loaded.relations if loaded else Relations(read.built_under or 0))
        if not usable(read, relations, self._tiers.rebuild_before_ms()):
            self._witness.cache("timeline", "old_version")
            return None
        self._witness.cache("timeline", "hit")
        listed = ListSource(self._cache, self._claims, user_id, snapshot, read, want.hint, count)
        pulled = await self._pulled.of(relations.pull)
        source: Source = PulledSource(listed, pulled, self._pulled.gathered(pulled)) if pulled else listed
        return Reading(
            Viewer(user_id, relations),
            [source, self._below(user_id, read, relations, snapshot, want.token)],
            listed=listed,
            unproven=known is None and loaded is None,
            lacking=len(pulled) < len(relations.pull) or (loaded is not None and not loaded.knows_pull),
            marks=snapshot,
        )

    def claim_of_copies_ms(self, reading: Reading) -> int:
        """What a page of this reading may claim at most if it hides anything, Unix ms."""
        return self._claims.by_copies_ms(reading.marks)

    async def _load(self, user_id: int, read: HomeRead) -> Loaded | None:
        try:
            return await self._loading.load(user_id, read.relations)
        except StoreUnavailable:
            return None

    def _from_build(self, user_id: int, snapshot: Snapshot, built: Built, rows_ms: int) -> Reading:
        source = BuiltSource(built.part, built.complete_through_ms)
        history = self._history(self._gathering(user_id, built.following, rows_ms), snapshot)
        return Reading(Viewer(user_id, built.relations, built.following), [source, history], marks=snapshot)

    async def _merge(self, user_id: int, snapshot: Snapshot | None) -> Reading:
        """All of it from the authors' rows.  `snapshot` None: the cache is out of reach."""
        marks, rows_ms = snapshot or await self._claims.snapshot(), self._claims.by_rows_ms()
        loaded = await self._loading.load(user_id)
        history = self._history(
            self._gathering(user_id, followees_of(loaded.edges), rows_ms), snapshot, PageSource.MERGE
        )
        return Reading(loaded.viewer(user_id), [history], cache_away=snapshot is None, marks=marks)

    # --- below the list ---------------------------------------------------------------------------------------

    def _below(
        self, user_id: int, read: HomeRead, relations: Relations, snapshot: Snapshot, token: ConsistencyToken | None
    ) -> Source:
        """Stretches can be kept only under relations that stood in the cache before anything else was read."""
        gather = self._gathering(user_id)
        if read.relations.relations is None or read.relations.seen is None:
            return self._history(gather, snapshot)
        deep = Deep(user_id, relations.version, read.relations.seen)
        since_ms = token.event_ms if token and named_author(token) is not None else 0
        return KeptHistory(self._stretches, deep, gather, _vouching(snapshot), since_ms)

    def _history(self, gather: Gather, snapshot: Snapshot | None, source: PageSource = PageSource.HISTORY) -> History:
        return History(gather, _vouching(snapshot), self._merges, source)

    def _gathering(self, user_id: int, following: frozenset[int] | None = None, rows_ms: int = 0) -> Gather:
        """`following` as of a read that began when rows could claim `rows_ms`; None: they are read when asked for."""

        async def gather() -> GatheredAuthors:
            if following is not None:
                return self._pulled.gathered(following | {user_id}, rows_ms)
            began_ms = self._claims.by_rows_ms()
            return self._pulled.gathered(followees_of(await self._store.following(user_id)) | {user_id}, began_ms)

        return gather

    # --- consistency tokens -----------------------------------------------------------------------------------

    async def _with_named(self, reading: Reading, user_id: int, token: ConsistencyToken) -> Reading:
        """Adds the tweets a consistency token names (B16)."""
        author = named_author(token)
        if author is None:
            return reading
        reading = replace(reading, bypass=named_tweets(token))
        if reading.opening_claim_ms() >= token.event_ms or not await self._sees(user_id, author):
            return reading

        async def gather() -> GatheredAuthors:
            return self._pulled.gathered(frozenset({author}))

        return replace(reading, named=History(gather, None, self._merges))

    async def _sees(self, user_id: int, author: int) -> bool:
        if author == user_id:
            return True
        edge = await self._store.edge(user_id, author)
        return edge is not None and edge.on


def _vouching(snapshot: Snapshot | None) -> Snapshot | None:
    """Author lists may stand in for rows only while they can claim something."""
    return snapshot if snapshot is not None and snapshot.claim_ms else None
