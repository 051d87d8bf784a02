"""A post's way into its followers' lists.  Rules D4 to D7 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Delivered, Deliveries, Link
from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.events import Event
from rookery_server.metrics import Metrics
from rookery_server.store.interface import FollowersPage, GraphStore


class Stopped(Exception):
    """The shard is being given back: the page in hand is done, the event stays open."""


@dataclass(slots=True)
class Stop:
    """Set once, looked at between pages."""

    asked: bool = False

    def check(self) -> None:
        if self.asked:
            raise Stopped


class FanOut:
    """`turns` is shared by all fan-outs of a worker: it is granted in the order asked for, one page at a time, so
    large fan-outs and small ones take turns."""

    def __init__(
        self, graph: GraphStore, cache: Deliveries, clock: Clock, turns: asyncio.Semaphore, page: int, metrics: Metrics
    ) -> None:
        self._graph, self._cache, self._clock, self._turns, self._page = graph, cache, clock, turns, page
        self._page_seconds = metrics.fanout_page()
        self._counters = {
            outcome: metrics.fanout_deliveries(outcome) for outcome in ("pushed", "inserted", "duplicate", "inactive")
        }

    async def run(
        self, event: Event, links: Mapping[str, Link], in_place: bool, stop: Stop
    ) -> tuple[int, frozenset[str]]:
        """How many followers there were, and the nodes that did not ack everything.  Raises Stopped and whatever the
        store raises; then the event is to be applied again."""
        async with self._turns:
            behind = (await self._cache.place_author(event.subject, event.target, links)).behind
        followers, after, reading = 0, None, self._read(event.subject, None)
        try:
            while True:
                page = await reading
                after, ids = page.next_after, page.follower_ids
                if after is not None:
                    reading = self._read(event.subject, after)
                if ids:
                    delivered = await self._deliver(event.target, ids, links, in_place)
                    behind, followers = behind | delivered.behind, followers + len(ids)
                if after is None:
                    return followers, behind
                stop.check()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _read(self, followee_id: int, after: int | None) -> asyncio.Task[FollowersPage]:
        return asyncio.create_task(self._read_page(followee_id, after))

    async def _read_page(self, followee_id: int, after: int | None) -> FollowersPage:
        return await self._graph.followers(followee_id, after, self._page)

    async def _deliver(
        self, tweet_id: int, follower_ids: tuple[int, ...], links: Mapping[str, Link], in_place: bool
    ) -> Delivered:
        async with self._turns:
            started = self._clock.monotonic()
            delivered = await self._cache.deliver(tweet_id, follower_ids, links, in_place)
        self._page_seconds.observe(self._clock.monotonic() - started)
        for outcome, counter in self._counters.items():
            counter.inc(getattr(delivered, outcome))
        return delivered


def tier_of(followers: int) -> str:
    """The label of a fan-out's freshness goal.  Authors above the pull threshold are delivered like all others here."""
    return "broad" if followers >= limits.BROAD_FROM else "push"
