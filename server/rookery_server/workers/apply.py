"""What each kind of event asks for.  Rules D3, D8 and D9 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
from typing import Protocol

from rookery_server.cache.interface import Deliveries
from rookery_server.domain import ids, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Edge
from rookery_server.metrics import Metrics
from rookery_server.store.interface import GraphStore, TweetRow, TweetStore
from rookery_server.workers.fanout import FanOut, Stop, tier_of
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.settings import WorkerSettings


class RowNotReadable(Exception):
    """The event is in the log and its row is not yet at a quorum: the batch is still under way."""


class Truth(TweetStore, GraphStore, Protocol):
    """What applying reads and repairs."""


class Applier:
    """Applies one event to every node there is a link to, and tells the fleet which of them did not ack."""

    def __init__(
        self, store: Truth, cache: Deliveries, fleet: Fleet, clock: Clock, settings: WorkerSettings, metrics: Metrics
    ) -> None:
        self._store, self._cache, self._fleet, self._clock, self._metrics = store, cache, fleet, clock, metrics
        turns = asyncio.Semaphore(settings.pages_at_once)
        self._fanout = FanOut(store, cache, clock, turns, settings.follower_page, metrics)

    async def apply(self, event: Event, *, in_place: bool, again: bool, stop: Stop) -> None:
        """Done when it returns.  Raises RowNotReadable, Stopped, StoreUnavailable: the event is then still open.
        `again`: it was applied before, and is counted as such."""
        match event.kind:
            case EventKind.POST:
                await self._post(event, in_place, again, stop)
            case EventKind.DELETE:
                await self._delete(event)
            case EventKind.FOLLOW | EventKind.UNFOLLOW:
                await self._relation(event)
        outcome = "reapplied" if again else "applied"
        self._metrics.outbox_events(event.kind.name.lower(), outcome).inc()

    async def _post(self, event: Event, in_place: bool, again: bool, stop: Stop) -> None:
        if not (await self._tweet(event)).body:
            return
        links = self._fleet.links()
        followers, behind = await self._fanout.run(event, links, in_place or event.repeat, stop)
        self._fleet.suspect(behind, links)
        if not again:
            age_s = (self._clock.now_ms() - ids.time_ms(event.id)) / 1000
            self._metrics.fanout_completion(tier_of(followers)).observe(max(0.0, age_s))

    async def _delete(self, event: Event) -> None:
        await self._tweet(event)
        links = self._fleet.links()
        self._fleet.suspect((await self._cache.overwrite_deleted(event.target, links)).behind, links)

    async def _relation(self, event: Event) -> None:
        edge = await self._edge(event)
        if edge is not None:
            await self._store.repair_mirror(edge)
        links = self._fleet.links()
        done = await self._cache.overwrite_relations(event.subject, event.version, links)
        self._fleet.suspect(done.behind, links)

    async def _tweet(self, event: Event) -> TweetRow:
        row = await self._store.user_tweet(event.subject, event.target)
        if row is None or row.version_us < event.version:
            raise RowNotReadable
        return row

    async def _edge(self, event: Event) -> Edge | None:
        """None once a removal has outlived its row."""
        edge = await self._store.edge(event.subject, event.target)
        if edge is None and self._clock.now_ms() - ids.time_ms(event.id) > limits.REMOVED_EDGE_LIFE_S * 1000:
            return None
        if edge is None or edge.version_us < event.version:
            raise RowNotReadable
        return edge
