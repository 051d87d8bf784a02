"""Random lives of a few people and three cache nodes: every page holds what it claims, nothing twice, nothing removed.

The worker applies what it likes and marks how far it is; nodes fail over to an older copy, come back empty, lose keys,
get new connections.  Seeded: a failure names its seed.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from rookery_server.cache.interface import HistoryRead
from rookery_server.domain import ids
from rookery_server.domain.events import EventKind
from rookery_server.domain.limits import REREAD_MS, WATERMARK_LAG_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage
from tests.unit.services.world import World

SEEDS = range(30)
STEPS = 150


@dataclass
class Copy:
    """What a replica of one node holds: a prefix of what was written to its primary."""

    homes: dict[int, list[int]]
    built_under: dict[int, int]
    authors: dict[int, list[int]]
    histories: dict[int, HistoryRead]
    marks: dict[int, int] | None


@dataclass
class Life:
    """One random history."""

    world: World
    dice: random.Random
    people: list[int]
    copies: dict[str, Copy] = field(default_factory=dict)

    async def step(self) -> None:
        deeds = self.deeds()
        await self.dice.choices(list(deeds), list(deeds.values()))[0]()

    def deeds(self) -> dict[Callable[[], Awaitable[None]], int]:
        """What may happen, and how often."""
        return {
            self.post: 30,
            self.follow: 4,
            self.unfollow: 2,
            self.delete: 3,
            self.work: 12,
            self.wait: 10,
            self.read: 20,
            self.poll: 10,
            self.evict: 2,
            self.trim: 1,
            self.reconnect: 1,
            self.copy_node: 3,
            self.fail_over: 1,
            self.restart_empty: 1,
        }

    # --- people -----------------------------------------------------------------------------------------------

    def somebody(self) -> int:
        return self.dice.choice(self.people)

    async def post(self) -> None:
        author = self.somebody()
        for _ in range(self.dice.choice([1, 1, 3, 30])):
            await self.world.post(author)
            self.world.clock.advance(self.dice.choice([0, 1, 50, 700]))

    async def follow(self) -> None:
        one, other = self.dice.sample(self.people, 2)
        await self.world.follow(one, other)

    async def unfollow(self) -> None:
        one, other = self.dice.sample(self.people, 2)
        assert (await self.world.unfollow(one, other)).settled
        for held in self.copies.values():  # settled: the replicas have it too
            held.homes.pop(one, None)
            held.built_under.pop(one, None)
            held.histories.pop(one, None)

    async def delete(self) -> None:
        live = [id_ for id_, row in self.world.store.tweets.items() if row.body]
        if live:
            tweet = self.dice.choice(live)
            author = self.world.store.tweets[tweet].author_id
            assert (await self.world.tweets.delete(self.world.call(author), tweet)).settled

    async def wait(self) -> None:
        self.world.clock.advance(self.dice.choice([10, 1000, 5000, 20_000]))

    # --- the machinery ----------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Applies some of what is open, each subject in order, and moves the marks to where that allows."""
        world = self.world
        blocked: set[int] = set()
        for id_, event in sorted(world.store.log.items()):
            if id_ in world.applied or event.subject in blocked:
                continue
            if self.dice.random() < 0.2:
                blocked.add(event.subject)
            else:
                await world.apply(event)
        still_open = [ids.time_ms(id_) - 1 for id_ in world.store.log if id_ not in world.applied]
        await world.mark(min([world.clock.now_ms() - WATERMARK_LAG_MS, *still_open]))

    async def poll(self) -> None:
        await self.world.claims.refresh()

    async def evict(self) -> None:
        cache = self.world.cache
        for keys in (cache.homes, cache.authors, cache.relations, cache.bodies):
            for key in [key for key in keys if self.dice.random() < 0.3]:
                if keys is not cache.bodies or cache.bodies[key]:  # the deleted marker outlives every fill
                    keys.pop(key)

    async def trim(self) -> None:
        for entries in [*self.world.cache.homes.values(), *self.world.cache.authors.values()]:
            if len(entries) > 20:
                del entries[self.dice.randrange(10, len(entries)) :]

    async def reconnect(self) -> None:
        self.world.cache.generations[self.dice.choice(self.world.cache.nodes)] += 1

    async def copy_node(self) -> None:
        cache, node = self.world.cache, self.dice.choice(self.world.cache.nodes)
        here = [key for key in {**cache.homes, **cache.authors} if cache.node_of(key) == node]
        self.copies[node] = copy.deepcopy(
            Copy(
                {key: cache.homes[key] for key in here if key in cache.homes},
                {key: cache.built_under[key] for key in here if key in cache.built_under},
                {key: cache.authors[key] for key in here if key in cache.authors},
                {key: cache.histories[key] for key in here if key in cache.histories},
                cache.marks[node],
            )
        )

    async def fail_over(self) -> None:
        """The replica takes over; what it did not have yet is open again."""
        cache, node = self.world.cache, self.dice.choice(self.world.cache.nodes)
        held = self.copies.get(node)
        if held is None or held.marks is None:
            return
        self._empty(node)
        cache.homes |= copy.deepcopy(held.homes)
        cache.built_under |= held.built_under
        cache.authors |= copy.deepcopy(held.authors)
        cache.histories |= held.histories
        cache.marks[node] = dict(held.marks)
        self._open_again(min(held.marks.values()) - REREAD_MS)

    async def restart_empty(self) -> None:
        """Nothing is there; a worker adopts it: everything of the last ten seconds is applied again."""
        node = self.dice.choice(self.world.cache.nodes)
        self._empty(node)
        self.world.cache.marks[node] = None
        self.copies.pop(node, None)
        self._open_again(self.world.clock.now_ms() - REREAD_MS)

    def _empty(self, node: str) -> None:
        cache = self.world.cache
        cache.generations[node] += 1
        for keys in (cache.homes, cache.built_under, cache.authors, cache.histories):
            for key in [key for key in keys if cache.node_of(key) == node]:
                del keys[key]

    def _open_again(self, since_ms: int) -> None:
        world = self.world
        world.applied -= {id_ for id_ in world.applied if ids.time_ms(id_) >= since_ms}
        for id_, event in world.store.log.items():
            if event.kind in (EventKind.FOLLOW, EventKind.UNFOLLOW):
                world.applied.add(id_)  # a stub is applied once for its version

    # --- pages ------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Scrolls a while, or to the end, and now and then polls for what is newer."""
        user, size = self.somebody(), self.dice.choice([1, 3, 20, 100])
        position: PageCursor | NewerCursor | None = None
        seen = BEYOND
        for _ in range(self.dice.choice([1, 3, 400])):
            page = await self.world.page(user, size, position)
            self.check(user, position, page)
            assert all(id_ < seen for id_ in page.tweet_ids), "shown twice, or out of order"
            seen = min([seen, *page.tweet_ids])
            if page.next_cursor is None:
                break
            if page.newer_cursor is not None and self.dice.random() < 0.3:
                await self.poll_newer(user, page.newer_cursor)
            position = page.next_cursor
            if self.dice.random() < 0.1:
                await self.world.post(self.somebody())

    async def poll_newer(self, user: int, newer: NewerCursor) -> None:
        before = set(self.claimed(user, newer.complete_through_ms))
        await self.post()
        await self.work()
        shown: set[int] = set()
        through = self.world.clock.now_ms()
        position: PageCursor | NewerCursor | None = newer
        while position is not None:
            page = await self.world.page(user, 20, position)
            self.check(user, position, page)
            shown.update(page.tweet_ids)
            # Each page claims for its own stretch, so together they claim the least of them.
            through = min(through, page.info.complete_through_ms)
            position = page.next_cursor
        missed = set(self.claimed(user, through)) - before - shown
        assert not missed, "neither on the first page's claim nor in what came since"

    def claimed(self, user: int, through_ms: int) -> list[int]:
        """What is on this home and was acked by then: the first event of a post is minted before its ack."""
        return [id_ for id_ in self.world.truth(user) if ids.time_ms(id_) <= through_ms]

    def check(self, user: int, position: PageCursor | NewerCursor | None, page: TimelinePage) -> None:
        truth = self.world.truth(user)
        assert set(page.tweet_ids) <= set(truth), "removed, or never there"
        top, bottom = BEYOND, page.next_cursor.last_id if page.next_cursor else 0
        if isinstance(position, PageCursor):
            top, bottom = position.last_id, max(bottom, position.floor_id)
        if isinstance(position, NewerCursor):
            bottom = max(bottom, ids.first_at(position.complete_through_ms - REREAD_MS))
        stretch = [id_ for id_ in self.claimed(user, page.info.complete_through_ms) if bottom <= id_ < top]
        missing = set(stretch) - set(page.tweet_ids)
        assert not missing, f"{len(missing)} missing of what {page.info} claims"
        if page.info.end_of_history:
            assert page.next_cursor is None


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_page_holds_what_it_claims(seed: int) -> None:
    world, dice = World(), random.Random(seed)
    await world.work()
    life = Life(world, dice, [world.user() for _ in range(6)])
    for person in life.people:
        for _ in range(dice.choice([0, 5, 250])):
            world.seed_tweet(person, world.clock.now_ms() - dice.randrange(60_000, 10**9))
    for _ in range(STEPS):
        await life.step()
    await life.work()
    world.clock.advance(WATERMARK_LAG_MS)
    await world.work()
    for person in life.people:
        assert await world.scroll(person, 20) == world.truth(person)
