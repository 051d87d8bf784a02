"""A post's way into its followers' lists.  Rules D4 to D7 and D20 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rookery_server.cache.interface import Delivered, Deliveries, Link
from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import Event
from rookery_server.domain.fanout import AuthorTier, Tier
from rookery_server.metrics import Metrics
from rookery_server.store.interface import FollowersPage, GraphStore
from rookery_server.workers.pace import Pace
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.turns import Turns


class Stopped(Exception):
    """The shard is being given back: the page in hand is done, the event stays open."""


class Orders(Protocol):
    """What is asked of one event on its way; looked at between pages."""

    def check(self) -> None:
        """Raises Stopped."""
        ...

    def hurried(self) -> bool:
        """Whether another event of its subject waits for it: one that was opened and has not begun."""
        ...


@dataclass(slots=True)
class Stop:
    """Set once, for all of a shard."""

    asked: bool = False

    def check(self) -> None:
        if self.asked:
            raise Stopped


class Tiers(Protocol):
    """Which authors are not, or were not, delivered to lists."""

    def row(self, author_id: int) -> AuthorTier | None:
        """As known now, without waiting.  Raises StoreUnavailable while nothing young enough is known."""
        ...


class FanOut:
    """`turns` is shared by all fan-outs of a worker, one page at a time, so large and small ones take turns; `pace`
    knows of all that begin."""

    def __init__(
        self,
        graph: GraphStore,
        cache: Deliveries,
        clock: Clock,
        tiers: Tiers,
        turns: Turns,
        pace: Pace,
        settings: WorkerSettings,
        metrics: Metrics,
    ) -> None:
        self._graph, self._cache, self._clock, self._tiers = graph, cache, clock, tiers
        self._turns, self._pace = turns, pace
        self._page, self._a_turn = settings.follower_page, settings.deliveries_a_turn
        self._broad_from = settings.thresholds.broad_from
        self._rest, self._rest_until_s = settings.further_rest, settings.further_rest_until_s
        self._page_seconds = metrics.fanout_page()
        self._counters = {
            outcome: metrics.fanout_deliveries(outcome) for outcome in ("pushed", "inserted", "duplicate", "inactive")
        }

    async def run(
        self, event: Event, links: Mapping[str, Link], in_place: bool, orders: Orders
    ) -> tuple[Tier, frozenset[str]]:
        """The tier it was delivered by, and the nodes that did not ack everything.  Raises Stopped and whatever the
        store raises; then the event is to be applied again."""
        row = self._tiers.row(event.subject)
        async with self._turns.turn(first=not in_place):
            behind = (await self._cache.place_author(event.subject, event.target, links)).behind
        if row is not None and not row.delivers(ids.time_ms(event.target)):
            return Tier.PULL, behind
        followers, behind_too = await self._pages(event, links, in_place, orders)
        return Tier.BROAD if followers >= self._broad_from else Tier.PUSH, behind | behind_too

    async def _pages(
        self, event: Event, links: Mapping[str, Link], in_place: bool, orders: Orders
    ) -> tuple[int, frozenset[str]]:
        followers, behind, took_s = 0, frozenset[str](), 0.0
        reading = self._read(event.subject, None)
        try:
            while True:
                page, read_s = await reading
                after = page.next_after
                if after is not None:
                    reading = self._read(event.subject, after)
                for at in range(0, len(page.follower_ids), self._a_turn):
                    some, first = page.follower_ids[at : at + self._a_turn], not in_place and followers == 0
                    if not first and not in_place:
                        # What a large fan-out reads and pushes keeps store, worker and cache busy: no order of turns
                        # gives a small one the processor it waits for.
                        if not orders.hurried():
                            left_s = self._rest_until_s - (self._clock.now_ms() - ids.time_ms(event.id)) / 1000
                            await self._pace.rest(min(self._rest * (read_s + took_s), left_s), but=event.id)
                        read_s = 0.0
                    delivered, took_s = await self._deliver(event.target, some, links, in_place, first)
                    behind, followers = behind | delivered.behind, followers + len(some)
                if after is None:
                    return followers, behind
                orders.check()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _read(self, followee_id: int, after: int | None) -> asyncio.Task[tuple[FollowersPage, float]]:
        return asyncio.create_task(self._read_page(followee_id, after))

    async def _read_page(self, followee_id: int, after: int | None) -> tuple[FollowersPage, float]:
        """And how long the store took."""
        started = self._clock.monotonic()
        page = await self._graph.followers(followee_id, after, self._page)
        return page, self._clock.monotonic() - started

    async def _deliver(
        self, tweet_id: int, follower_ids: tuple[int, ...], links: Mapping[str, Link], in_place: bool, first: bool
    ) -> tuple[Delivered, float]:
        """And how long the turn took, without the wait for it."""
        async with self._turns.turn(first=first):
            started = self._clock.monotonic()
            delivered = await self._cache.deliver(tweet_id, follower_ids, links, in_place)
            took_s = self._clock.monotonic() - started
        self._page_seconds.observe(took_s)
        for outcome, counter in self._counters.items():
            counter.inc(getattr(delivered, outcome))
        return delivered, took_s
