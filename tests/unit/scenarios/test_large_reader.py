"""A scenario of docs/scenarios.md: one reader of 5,000 accounts scrolls to the end of history beside others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass, field

from rookery_server.domain.limits import HOME_KEPT, INNER_READS, PAGE_MAX
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.pages import PageSource, TimelinePage
from rookery_server.store.interface import UserTweetIds
from tests.unit.services.world import World

AUTHORS = 5_000
BUSY = 20
"""Of whom there is more than their cached lists hold."""
DAY_MS = 86_400_000


@dataclass
class Watch:
    """Reads of authors' rows, counted.  Those of authors in `of` wait while `gate` is closed."""

    world: World
    reads: int = 0
    under_way: int = 0
    most: int = 0
    of: Collection[int] = ()
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._read = self.world.store.user_tweet_ids
        self.world.store.user_tweet_ids = self.read  # type: ignore[method-assign]
        self.gate.set()

    async def read(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        self.reads += 1
        await asyncio.sleep(0)
        if user_id not in self.of:
            return await self._read(user_id, before_id, limit)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        self.under_way -= 1
        return await self._read(user_id, before_id, limit)

    def reset(self) -> None:
        self.reads = self.most = 0


async def test_scenario_13_a_reader_of_5000_accounts_misses_nothing_and_slows_no_neighbour() -> None:
    world, dice = World(), random.Random(13)
    large, neighbour, cold = world.user(), world.user(), world.user()
    authors, others = [world.user() for _ in range(AUTHORS)], [world.user() for _ in range(10)]
    now_ms = world.clock.now_ms()
    for at, author in enumerate(authors):
        await world.follow(large, author)
        for _ in range(300 if at < BUSY else dice.randrange(3)):
            world.seed_tweet(author, now_ms - dice.randrange(60_000, 100 * DAY_MS))
    for other in others:
        await world.follow(neighbour, other)
        await world.follow(cold, other)
        world.seed_tweet(other, now_ms - dice.randrange(60_000, DAY_MS))
    await world.work()
    await world.page(neighbour)
    watch = Watch(world, of=frozenset(authors))

    first = await _beside(world, watch, None, large, neighbour, cold)
    assert watch.reads <= AUTHORS + 1 + len(others) + 1 + BUSY * 2, "the authors' lists are read once each"
    assert first.info.source is PageSource.BUILD

    expected, shown, page = world.truth(large), list(first.tweet_ids), first
    assert len(expected) > 10 * HOME_KEPT
    watch.reset()
    pages, cold_again = 0, False
    while page.next_cursor is not None:
        if not cold_again and len(shown) > len(expected) - HOME_KEPT:
            assert watch.reads <= AUTHORS, "whose list is cached whole, of them no rows are read"
            cold_again = True
            world.cache.authors.clear()  # so that the next page has to read all of them again
            world.cache.histories.clear()
            page = await _beside(world, watch, page.next_cursor, large, neighbour, cold, PAGE_MAX)
        else:
            page = await world.page(large, PAGE_MAX, page.next_cursor)
        pages += 1
        shown += page.tweet_ids
    assert shown == expected
    assert cold_again
    assert watch.most <= INNER_READS
    assert watch.reads <= 5 * AUTHORS
    assert pages <= 2 * len(expected) // PAGE_MAX


async def _beside(
    world: World, watch: Watch, position: PageCursor | None, large: int, neighbour: int, cold: int, size: int = 20
) -> TimelinePage:
    """A page of the large reader's, whose reads of rows stand still until others were served."""
    watch.gate.clear()
    reading = asyncio.create_task(world.page(large, size, position))
    while not watch.under_way and not reading.done():  # noqa: ASYNC110  (nothing tells that it reads)
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < watch.under_way <= INNER_READS
    reads = watch.reads
    page = await world.page(neighbour)
    assert page.info.source is PageSource.LIST
    assert list(page.tweet_ids) == world.truth(neighbour)
    assert watch.reads == reads, "a neighbour's page asks for no rows"
    world.cache.homes.pop(cold, None)
    page = await world.page(cold)
    assert page.info.source is PageSource.BUILD
    assert list(page.tweet_ids) == world.truth(cold)
    assert not reading.done()
    watch.gate.set()
    return await reading
