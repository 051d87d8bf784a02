"""Filling a page: hydrate, judge, and go on further down for what was dropped (B13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CapReached, StoreUnavailable
from rookery_server.domain.frames import unframe
from rookery_server.domain.limits import MAX_ROUNDS, PAGE_DEFAULT
from rookery_server.domain.merge import Part
from rookery_server.domain.models import Tweet
from rookery_server.domain.rules import Facts, Hidden, hidden_from_home
from rookery_server.services.facts import FactFinder
from rookery_server.services.hydrate import Hydration
from rookery_server.services.reading import Reading


@dataclass(slots=True)
class Filled:
    """A page so far.

    `below`: everything at or above it is considered, nothing below it is: the next page goes on there.  `done`: there
    is nothing left down to the floor asked for.  `end`: nor below that floor: history ends.  `cut`: the store could
    not answer for what comes next.
    """

    below: int
    bodies: list[bytes] = field(default_factory=list)
    tweets: list[Tweet] = field(default_factory=list)
    hidden: int = 0
    done: bool = False
    end: bool = False
    cut: bool = False
    rounds: int = 0


class Filling:
    """Fills one page from one reading."""

    def __init__(
        self,
        hydration: Hydration,
        facts: FactFinder,
        decode: Callable[[bytes], Tweet],
        clock: Clock,
        reading: Reading,
        size: int,
    ):
        self._hydration, self._facts, self._decode, self._clock = hydration, facts, decode, clock
        self._reading, self._size = reading, size

    async def fill(self, below: int, floor: int, until: float) -> Filled:
        """Up to `size` tweets of [floor, below), newest first.  Gives up short after 10 rounds or at `until`
        (monotonic), never before the first.  Raises StoreUnavailable or CapReached only for a page of nothing."""
        page = Filled(below)
        part = Part((), below)
        pending: tuple[int, ...] = ()
        for round_ in range(MAX_ROUNDS):
            if round_ and self._clock.monotonic() >= until:
                break
            # After a round that dropped some, more are looked at than are missing: tweets are often deleted in rows.
            ahead = max(self._missing(page), PAGE_DEFAULT) if round_ else self._missing(page)
            page.rounds = round_ + 1
            try:
                if not pending:
                    part = await self._reading.slice(page.below, ahead)
                    pending = tuple(id_ for id_ in part.ids if id_ >= floor)
                pending = await self._take(page, pending[:ahead]) + pending[ahead:]
            except (StoreUnavailable, CapReached) as error:
                page.cut = isinstance(error, StoreUnavailable)
                if not page.bodies:
                    raise
                break
            if page.cut:
                if not page.bodies:
                    raise StoreUnavailable
                break
            if not pending:
                self._note_floor(page, part, floor)
            if page.done or not self._missing(page):
                break
        return page

    def _missing(self, page: Filled) -> int:
        return self._size - len(page.bodies)

    def _note_floor(self, page: Filled, part: Part, floor: int) -> None:
        """All ids of the part were considered: the page has come down to where the part, or the call, ends."""
        page.below = min(page.below, max(part.floor, floor))
        page.done = part.floor <= floor
        page.end = part.floor == 0 and not any(id_ < floor for id_ in part.ids)

    async def _take(self, page: Filled, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Considers `ids` until the page is full; returns what was not considered."""
        hydrated = await self._hydration.bodies(ids, self._reading.bypass)
        tweets = {id_: self._decode(unframe(framed)) for id_, framed in hydrated.bodies.items() if framed}
        found = await self._facts.gather(self._reading.viewer, tweets.values(), self._reading.named_accounts)
        for at, id_ in enumerate(ids):
            if not self._missing(page):
                return ids[at:]
            if id_ in hydrated.unread or not found.judges(tweets.get(id_)):
                page.cut = True
                return ids[at:]
            if id_ in hydrated.bodies:  # else not readable at a quorum, so not acked: it is shown once it is there
                self._judge(page, hydrated.bodies[id_], tweets.get(id_), found.facts)
            page.below = id_
        return ()

    def _judge(self, page: Filled, framed: bytes, tweet: Tweet | None, facts: Facts) -> None:
        reason = hidden_from_home(self._reading.viewer, tweet, facts, self._clock.now_ms())
        if reason is None and tweet is not None:
            page.bodies.append(framed)
            page.tweets.append(tweet)
        elif reason is not Hidden.DELETED:
            page.hidden += 1
