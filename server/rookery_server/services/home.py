"""Home pages: skeleton, hydrate, rules, present.  The rules are numbered in docs/protocols/build.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rookery_server.cache.interface import Cache
from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, CapReached, IdsRefused, StoreUnavailable
from rookery_server.domain.limits import (
    DEGRADED_AFTER_MS,
    MERGES_PER_PROCESS,
    PAGE_DEFAULT,
    PAGE_MAX,
    REREAD_MS,
    SLOT_WAIT_S,
)
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.models import Relations
from rookery_server.domain.rules import Viewer
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.authors import GatheredAuthors
from rookery_server.services.batches import checked_page_size
from rookery_server.services.bounded import Slots
from rookery_server.services.builds import Builds, Built, usable
from rookery_server.services.calls import Call
from rookery_server.services.claims import ClaimTracker, Snapshot
from rookery_server.services.codec import TweetCodec
from rookery_server.services.facts import FactFinder
from rookery_server.services.filling import Filled, Filling
from rookery_server.services.history import History
from rookery_server.services.hydrate import Hydration
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage
from rookery_server.services.reading import BuiltSource, ListSource, Reading, first_count
from rookery_server.services.relations import followees_of, keep_relations, relations_of
from rookery_server.services.tokens import named_author, named_tweets, speaks_of_relations
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import Store

_LOOKS = 3
"""Looks at a list that others keep building and removing; then the page is merged."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Which stretch of the timeline a call asks for: ids of [floor, below)."""

    below: int = BEYOND
    floor: int = 0
    hint: int = 0

    @classmethod
    def of(cls, position: PageCursor | NewerCursor | None) -> _Span:
        if isinstance(position, PageCursor):
            return cls(position.last_id, position.floor_id, position.position_hint)
        if isinstance(position, NewerCursor):
            return cls(floor=ids.first_at(position.complete_through_ms - REREAD_MS))
        return cls()


class HomeTimelines:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        codec: TweetCodec,
        hydration: Hydration,
        facts: FactFinder,
        claims: ClaimTracker,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock, self._new_id, self._codec = store, cache, clock, new_id, codec
        self._hydration, self._facts, self._claims, self._witness = hydration, facts, claims, witness
        self._builds = Builds(store, cache, clock, new_id, claims, witness)
        self._merges = Slots(MERGES_PER_PROCESS, SLOT_WAIT_S)

    async def page(
        self,
        call: Call,
        page_size: int,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> TimelinePage:
        """One page of the caller's home, newest first by id.

        `page_size` as the caller sent it: 0 = default, clamped to the maximum, negative is InvalidArgument.
        `position`: None = the newest page; a page cursor = what is older; a newer cursor = what arrived since, repeats
        included.  Raises CapReached and StoreUnavailable.
        """
        size, span = checked_page_size(page_size, PAGE_DEFAULT, PAGE_MAX), _Span.of(position)
        until = self._clock.monotonic() + call.left(self._clock) / 2
        reading = await self._open(call.caller_id, span, size, token)
        filling = Filling(self._hydration, self._facts, self._codec.decode, self._clock, reading, size)
        return self._present(position, span, reading, await filling.fill(span.below, span.floor, until))

    # --- skeleton ---------------------------------------------------------------------------------------------

    async def _open(self, user_id: int, span: _Span, size: int, token: ConsistencyToken | None) -> Reading:
        try:
            reading = await self._look(user_id, span, size)
        except CacheUnavailable:
            self._witness.cache("timeline", "error")
            reading = await self._merge(user_id, None)
        except (CapReached, IdsRefused):
            reading = await self._merge(user_id, await self._claims.snapshot())
        if token is None:
            return reading
        if reading.listed and speaks_of_relations(token, user_id) and reading.opening_claim_ms() < token.event_ms:
            # The list may stand for the relations as they were; what is built or merged in this call cannot.
            reading = await self._merge(user_id, await self._claims.snapshot())
        return await self._with_named(reading, user_id, token)

    async def _look(self, user_id: int, span: _Span, size: int) -> Reading:
        """The list, or what building it gives."""
        for _ in range(_LOOKS):
            snapshot = await self._claims.snapshot()
            reading = await self._from_list(user_id, snapshot, span.hint, first_count(size))
            if reading is not None:
                return reading
            built = await self._builds.build(user_id)
            if built is not None:
                return self._from_build(user_id, snapshot, built)
        return await self._merge(user_id, snapshot)

    async def _from_list(self, user_id: int, snapshot: Snapshot, start: int, count: int) -> Reading | None:
        """None: there is no list that stands for the relations as they are."""
        read = await self._cache.read_home(user_id, start, count)
        if not read.exists:
            self._witness.cache("timeline", "absent")
            return None
        relations, unproven = read.relations.relations, False
        self._witness.cache("relation", "absent" if relations is None else "hit")
        if relations is None:
            try:
                relations = relations_of(await self._store.following(user_id))
                await keep_relations(self._cache, user_id, read.relations, relations)
            except StoreUnavailable:
                # Without a quorum nobody can tell what was removed: the cached page, and it says so (B17).
                relations, unproven = Relations(read.built_under or 0), True
        if not usable(read, relations):
            self._witness.cache("timeline", "old_version")
            return None
        self._witness.cache("timeline", "hit")
        source = ListSource(self._cache, user_id, snapshot, read, start, count)
        viewer = Viewer(user_id, relations)
        history = self._history(user_id, None, _lists(snapshot))
        return Reading(viewer, [source, history], listed=source, unproven=unproven)

    def _from_build(self, user_id: int, snapshot: Snapshot, built: Built) -> Reading:
        viewer = Viewer(user_id, built.relations, built.following)
        source = BuiltSource(built.part, built.complete_through_ms)
        return Reading(viewer, [source, self._history(user_id, built.following, _lists(snapshot))])

    async def _merge(self, user_id: int, snapshot: Snapshot | None) -> Reading:
        """All of it from the authors' rows.  `snapshot` None: the cache is out of reach."""
        edges = await self._store.following(user_id)
        viewer = Viewer(user_id, relations_of(edges), followees_of(edges))
        lists = _lists(snapshot) if snapshot else None
        history = self._history(user_id, followees_of(edges), lists, PageSource.MERGE)
        return Reading(viewer, [history], cache_away=snapshot is None)

    def _history(
        self,
        user_id: int,
        following: frozenset[int] | None,
        lists: Snapshot | None,
        source: PageSource = PageSource.HISTORY,
    ) -> History:
        async def gather() -> GatheredAuthors:
            followees = following
            if followees is None:
                followees = followees_of(await self._store.following(user_id))
            return self._authors(followees | {user_id})

        return History(gather, lists, self._merges, source)

    def _authors(self, authors: frozenset[int]) -> GatheredAuthors:
        return GatheredAuthors(self._store, self._cache, self._clock, self._new_id, authors)

    async def _with_named(self, reading: Reading, user_id: int, token: ConsistencyToken) -> Reading:
        """Adds the tweets a consistency token names (B16)."""
        author = named_author(token)
        if author is None:
            return reading
        reading = replace(reading, bypass=named_tweets(token))
        if reading.opening_claim_ms() >= token.event_ms or not await self._sees(user_id, author):
            return reading

        async def gather() -> GatheredAuthors:
            return self._authors(frozenset({author}))

        return replace(reading, named=History(gather, None, self._merges))

    async def _sees(self, user_id: int, author: int) -> bool:
        if author == user_id:
            return True
        edge = await self._store.edge(user_id, author)
        return edge is not None and edge.on

    # --- present ----------------------------------------------------------------------------------------------

    def _present(
        self, position: PageCursor | NewerCursor | None, span: _Span, reading: Reading, page: Filled
    ) -> TimelinePage:
        complete_through_ms = reading.complete_through_ms()
        age_ms = self._clock.now_ms() - complete_through_ms
        info = PageInfo(
            reading.source(),
            page.end,
            complete_through_ms,
            degraded=reading.cache_away or age_ms > DEGRADED_AFTER_MS,
            stale=reading.unproven or page.cut,
            hidden=page.hidden,
        )
        flag = "stale" if info.stale else "degraded" if info.degraded else "none"
        self._witness.page(info.source.value, flag, page.rounds, age_ms / 1000)
        return TimelinePage(
            tuple(page.bodies),
            tuple(tweet.id for tweet in page.tweets),
            tuple(tweet.author_id for tweet in page.tweets),
            None if page.done else PageCursor(page.below, span.floor, reading.hint(page.below)),
            _newer(position, page, complete_through_ms),
            info,
        )


def _lists(snapshot: Snapshot) -> Snapshot | None:
    """Author lists may stand in for rows only while they can claim something."""
    return snapshot if snapshot.claim_ms else None


def _newer(position: PageCursor | NewerCursor | None, page: Filled, complete_through_ms: int) -> NewerCursor | None:
    """Only pages from the top know what is newest (B15)."""
    if isinstance(position, PageCursor):
        return None
    newest = page.tweets[0].id if page.tweets else 0
    if position is None:
        return NewerCursor(newest, complete_through_ms)
    return NewerCursor(max(newest, position.newest_id), max(complete_through_ms, position.complete_through_ms))
