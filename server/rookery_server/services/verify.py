"""Whether what a cached home shows is what the rows say (docs/protocols/build.md, B22)."""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import HOME_TRIM_AT
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.rules import Hidden
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.codec import TweetCodec
from rookery_server.services.facts import FactFinder
from rookery_server.services.filling import Filling
from rookery_server.services.hydrate import Hydration
from rookery_server.services.skeleton import Skeletons, Want
from rookery_server.services.truth import HomeTruth, TrueHome

DIFFERENCES_SHOWN = 100
"""A person reads no more at once, and one is reason enough to look."""


class DifferenceKind(enum.Enum):
    MISSING = "missing"
    """It belongs there and is not there."""
    FORBIDDEN = "forbidden"
    """It is shown and does not belong there."""
    DOUBLED = "doubled"
    """It is shown more than once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`author_id` 0 = not known.  `rule`: why it does not belong there, where a rule is the reason.  `claimed`: at or
    below the page's claim, which must never be."""

    tweet_id: int
    author_id: int
    kind: DifferenceKind
    rule: Hidden | None
    claimed: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """`cached` False: there was no list to compare.  `complete_through_ms` 0 = nothing was claimed.  `floor_ms`: how
    far down it was compared, 0 = to the end of history.  `compared`: tweets that belong there.  `differences`: newest
    first, at most 100; `more`: there are more."""

    cached: bool
    complete_through_ms: int = 0
    floor_ms: int = 0
    compared: int = 0
    differences: tuple[Difference, ...] = ()
    more: bool = False


NOTHING_CACHED = Verification(cached=False)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What pages of the cached home show down to `floor`, as they come."""

    tweet_ids: tuple[int, ...]
    authors: dict[int, int]
    floor: int
    claim_ms: int


class HomeVerifier:
    """Compares; changes nothing but that a list's life is refreshed, as by any read."""

    def __init__(
        self,
        skeletons: Skeletons,
        claims: ClaimTracker,
        truth: HomeTruth,
        clock: Clock,
        codec: TweetCodec,
        hydration: Hydration,
        facts: FactFinder,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._skeletons, self._claims, self._truth, self._clock = skeletons, claims, truth, clock
        self._codec, self._hydration, self._facts, self._sleep = codec, hydration, facts, sleep

    async def verify(self, user_id: int, until: float, apart_s: float = 0.0) -> Verification:
        """What differs is looked at again, `apart_s` later, and only what differs twice is a difference: between the
        read of the list and that of the rows people go on posting, deleting and unfollowing.  `until` (monotonic)
        bounds the pages, not the rows.  Raises StoreUnavailable, CapReached."""
        first = await self._look(user_id, until)
        if not first.differences:
            return first
        await self._sleep(apart_s)
        second = await self._look(user_id, until + apart_s)
        before = {(one.tweet_id, one.kind) for one in first.differences}
        both = [one for one in second.differences if (one.tweet_id, one.kind) in before]
        return replace(second, differences=tuple(both[:DIFFERENCES_SHOWN]), more=len(both) > DIFFERENCES_SHOWN)

    async def _look(self, user_id: int, until: float) -> Verification:
        shown = await self._shown(user_id, until)
        if shown is None:
            return NOTHING_CACHED
        # After the pages: what is acked in between is above what they claim.
        truth = await self._truth.of(user_id, shown.floor)
        found = sorted(_differences(shown, truth), key=lambda one: -one.tweet_id)
        return Verification(
            cached=True,
            complete_through_ms=shown.claim_ms,
            floor_ms=ids.time_ms(shown.floor) if shown.floor else 0,
            compared=len(truth.belongs),
            differences=tuple(found),
        )

    async def _shown(self, user_id: int, until: float) -> _Shown | None:
        try:
            snapshot = await self._claims.snapshot()
            reading = await self._skeletons.listed(user_id, snapshot, Want(HOME_TRIM_AT))
        except CacheUnavailable:
            return None
        if reading is None:
            return None
        # Of the list alone: below it pages are rows, which there is no need to compare with rows.
        floor = (await reading.sources[0].slice(BEYOND, HOME_TRIM_AT)).floor
        if floor >= BEYOND:
            return None
        filling = Filling(self._hydration, self._facts, self._codec.decode, self._clock, reading, HOME_TRIM_AT)
        page = await filling.fill(BEYOND, floor, until)
        return _Shown(
            tuple(tweet.id for tweet in page.tweets),
            {tweet.id: tweet.author_id for tweet in page.tweets},
            floor if page.done else page.below,
            reading.complete_through_ms(),
        )


def _differences(shown: _Shown, truth: TrueHome) -> list[Difference]:
    def difference(id_: int, kind: DifferenceKind, rule: Hidden | None = None) -> Difference:
        author = shown.authors.get(id_) or truth.belongs.get(id_, 0)
        return Difference(id_, author, kind, rule, ids.time_ms(id_) <= shown.claim_ms)

    times = Counter(shown.tweet_ids)
    missing = [difference(id_, DifferenceKind.MISSING) for id_ in truth.belongs if id_ not in times]
    doubled = [difference(id_, DifferenceKind.DOUBLED) for id_, count in times.items() if count > 1]
    forbidden = [
        # What is of none of its authors is there without an edge.
        difference(id_, DifferenceKind.FORBIDDEN, truth.hidden.get(id_, Hidden.UNFOLLOWED))
        for id_ in times
        if id_ not in truth.belongs
    ]
    return missing + doubled + forbidden
