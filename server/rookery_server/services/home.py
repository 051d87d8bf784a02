"""Home pages: skeleton, hydrate, rules, present.  The rules are numbered in docs/protocols/build.md."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import DEGRADED_AFTER_MS, PAGE_DEFAULT, PAGE_MAX, REREAD_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.batches import checked_page_size
from rookery_server.services.calls import Call
from rookery_server.services.codec import TweetCodec
from rookery_server.services.facts import FactFinder
from rookery_server.services.filling import Filled, Filling
from rookery_server.services.hydrate import Hydration
from rookery_server.services.pages import PageInfo, TimelinePage
from rookery_server.services.reading import Reading
from rookery_server.services.recent_readers import RecentReaders
from rookery_server.services.skeleton import Skeletons, Want
from rookery_server.services.witness import SILENT, Witness


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
    """`recent`: where users whose home was read are noted for the verifier."""

    def __init__(
        self,
        skeletons: Skeletons,
        clock: Clock,
        codec: TweetCodec,
        hydration: Hydration,
        facts: FactFinder,
        witness: Witness = SILENT,
        recent: RecentReaders | None = None,
    ):
        self._skeletons, self._clock, self._codec = skeletons, clock, codec
        self._hydration, self._facts, self._witness, self._recent = hydration, facts, witness, recent

    async def page(
        self,
        call: Call,
        page_size: int,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
        only_known_replies: bool = False,
    ) -> TimelinePage:
        """One page of the caller's home, newest first by id.

        `page_size` as the caller sent it: 0 = default, clamped to the maximum, negative is InvalidArgument.
        `position`: None = the newest page; a page cursor = what is older; a newer cursor = what arrived since, repeats
        included.  `only_known_replies` leaves out replies to accounts the caller does not follow.
        Raises CapReached and StoreUnavailable.
        """
        size, span = checked_page_size(page_size, PAGE_DEFAULT, PAGE_MAX), _Span.of(position)
        until = self._clock.monotonic() + call.left(self._clock) / 2
        if self._recent is not None:
            self._recent.note(call.caller_id)
        reading = await self._skeletons.open(call.caller_id, Want(size, span.hint, token))
        reading = replace(reading, viewer=replace(reading.viewer, only_known_replies=only_known_replies))
        filling = Filling(self._hydration, self._facts, self._codec.decode, self._clock, reading, size)
        return self._present(position, span, reading, await filling.fill(span.below, span.floor, until))

    def _present(
        self, position: PageCursor | NewerCursor | None, span: _Span, reading: Reading, page: Filled
    ) -> TimelinePage:
        complete_through_ms, lively_ms = reading.complete_through_ms(), reading.lively_claim_ms()
        if page.hidden:
            copies_ms = self._skeletons.claim_of_copies_ms(reading)
            complete_through_ms = min(complete_through_ms, copies_ms)
            lively_ms = copies_ms if lively_ms is None else min(lively_ms, copies_ms)
        now_ms = self._clock.now_ms()
        info = PageInfo(
            reading.source(),
            page.end,
            complete_through_ms,
            degraded=reading.cache_away or (lively_ms is not None and now_ms - lively_ms > DEGRADED_AFTER_MS),
            stale=reading.unproven or page.cut,
            hidden=page.hidden,
        )
        flag = "stale" if info.stale else "degraded" if info.degraded else "none"
        # What was kept is old by intent: its age would only hide how old the others are.
        age_ms = 0 if lively_ms is None else now_ms - lively_ms
        self._witness.page(info.source.value, flag, page.rounds, age_ms / 1000)
        return TimelinePage(
            tuple(page.bodies),
            tuple(tweet.id for tweet in page.tweets),
            tuple(tweet.author_id for tweet in page.tweets),
            None if page.done else PageCursor(page.below, span.floor, reading.hint(page.below)),
            _newer(position, page, complete_through_ms),
            info,
        )


def _newer(position: PageCursor | NewerCursor | None, page: Filled, complete_through_ms: int) -> NewerCursor | None:
    """Only pages from the top know what is newest (B15)."""
    if isinstance(position, PageCursor):
        return None
    newest = page.tweets[0].id if page.tweets else 0
    if position is None:
        return NewerCursor(newest, complete_through_ms)
    return NewerCursor(max(newest, position.newest_id), max(complete_through_ms, position.complete_through_ms))
