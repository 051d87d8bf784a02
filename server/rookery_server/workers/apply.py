"""What each kind of event asks for.  Rules D3, D8, D9 and D19 of docs/protocols/delivery.md."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import Protocol

from rookery_server.cache.interface import Deliveries
from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import Event, EventKind
from rookery_server.metrics import Metrics
from rookery_server.store.interface import TweetRow, TweetStore, UserStore
from rookery_server.workers.fanout import FanOut, Orders, Tiers
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.pace import Pace
from rookery_server.workers.relations import Graph, RelationApplier, RowNotReadable
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.turns import Turns


class TooEarly(Exception):
    """What the event speaks of may still be under way for so long."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s} s")
        self.wait_s = wait_s


class Truth(TweetStore, UserStore, Graph, Protocol):
    """What applying reads and repairs."""


def line_of(event: Event) -> int:
    """Which line an event waits in (D6).  Changes of an account wait for their time, and nothing of the account's
    waits for them: they have a line of their own (D19)."""
    return -event.subject if event.kind is EventKind.ACCOUNT else event.subject


class Applier:
    """Applies one event to every node there is a link to, and tells the fleet which of them did not ack."""

    def __init__(
        self,
        store: Truth,
        cache: Deliveries,
        fleet: Fleet,
        tiers: Tiers,
        clock: Clock,
        pace: Pace,
        settings: WorkerSettings,
        metrics: Metrics,
        choice: random.Random,
    ) -> None:
        self._store, self._cache, self._fleet, self._clock, self._metrics = store, cache, fleet, clock, metrics
        turns = Turns(settings.pages_at_once, settings.further_pages_at_once)
        self._fanout = FanOut(store, cache, clock, tiers, turns, pace, settings, metrics)
        self._relations = RelationApplier(store, cache, fleet, clock)
        self._choice, self._pace = choice, pace

    async def apply(self, event: Event, *, in_place: bool, again: bool, orders: Orders) -> None:
        """Done when it returns.  Raises RowNotReadable, TooEarly, Stopped, StoreUnavailable: the event is then still
        open.  `again`: it was applied before, and is counted as such."""
        match event.kind:
            case EventKind.POST:
                await self._post(event, in_place, again, orders)
            case EventKind.DELETE:
                await self._delete(event)
            case EventKind.FOLLOW | EventKind.UNFOLLOW:
                await self._relations.edge(event)
            case EventKind.BLOCK | EventKind.UNBLOCK:
                await self._relations.block(event)
            case EventKind.MUTE:
                await self._relations.mute(event)
            case EventKind.ACCOUNT:
                await self._account(event)
        outcome = "reapplied" if again else "applied"
        self._metrics.outbox_events(event.kind.name.lower(), outcome).inc()

    async def _post(self, event: Event, in_place: bool, again: bool, orders: Orders) -> None:
        fresh = not (in_place or event.repeat)
        with self._pace.beginning(event.id) if fresh else nullcontext():
            row = await self._tweet(event)
        if not row.body:
            return
        links = self._fleet.links()
        tier, behind = await self._fanout.run(event, links, not fresh, orders)
        self._fleet.suspect(behind, links)
        if not again:
            self._metrics.fanout_completion(tier.value).observe(max(0.0, self._age_ms(event) / 1000))

    async def _delete(self, event: Event) -> None:
        await self._tweet(event)
        links = self._fleet.links()
        self._fleet.suspect((await self._cache.overwrite_deleted(event.target, links)).behind, links)

    async def _account(self, event: Event) -> None:
        left_ms = limits.WATERMARK_LAG_MS - self._age_ms(event)
        if left_ms >= 0:
            raise TooEarly((left_ms + 1) / 1000)
        await self._store.settled_user(event.subject)
        # No two stubs are alike (A5): whoever saw an earlier one must not take this one for it.
        version = self._clock.now_ms() * 1000 + self._choice.randrange(1000)
        links = self._fleet.links()
        self._fleet.suspect((await self._cache.overwrite_profile(event.subject, version, links)).behind, links)

    async def _tweet(self, event: Event) -> TweetRow:
        row = await self._store.user_tweet(event.subject, event.target)
        if row is None or row.version_us < event.version:
            raise RowNotReadable
        return row

    def _age_ms(self, event: Event) -> int:
        return self._clock.now_ms() - ids.time_ms(event.id)
