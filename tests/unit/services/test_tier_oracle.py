"""Random lives with authors who become pull and come back at random times: rules T1 to T8 of docs/protocols/tier.md
together.  Every page holds what it claims, and in the end paging gives exactly the rows, whatever the mix of tiers."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from rookery_server.domain.fanout import AuthorTier, Crossing
from rookery_server.domain.limits import WATERMARK_LAG_MS
from rookery_server.domain.models import Relations
from tests.unit.services.test_home_oracle import Life
from tests.unit.services.world import World

SEEDS = range(12)
STEPS = 200
SLACK_S = 60
"""Time moves at most so far inside one step, so what expires between two may be so much late."""
CROSSING = Crossing(
    announce_s=30 + 20 + SLACK_S,
    merge_s=200 + 2 * 20 + SLACK_S,
    rebuild_after_s=200,
    relations_life_s=30,
    directory_s=5,
    directory_max_age_s=20,
)


@dataclass
class TierLife(Life):
    """`known`: since when each user's cached relations stand."""

    known: dict[int, tuple[Relations | None, int]] = field(default_factory=dict)
    directory_ms: int = 0
    crossings: int = 0

    def deeds(self) -> dict[Callable[[], Awaitable[None]], int]:
        return super().deeds() | {self.cross: 6, self.minute: 8}

    async def step(self) -> None:
        self.expire_relations()
        await super().step()

    async def cross(self) -> None:
        """An author changes tier, perhaps in the middle of the change before."""
        author, now_ms = self.dice.choice(self.people[:3]), self.world.clock.now_ms()
        row = self.world.store.author_tiers.get(author)
        pull = row is None or not row.pull
        ahead_s = CROSSING.announce_s if pull else CROSSING.merge_s
        self.world.store.author_tiers[author] = AuthorTier(author, pull, now_ms + round(ahead_s * 1000))
        self.crossings += 1

    async def minute(self) -> None:
        self.world.clock.advance(self.dice.randrange(SLACK_S * 1000))

    async def work(self) -> None:
        """By rows as old as they may be believed."""
        now_ms = self.world.clock.now_ms()
        if now_ms - self.directory_ms > CROSSING.directory_max_age_s * 1000 or self.world.worker_tiers is None:
            self.world.worker_tiers, self.directory_ms = dict(self.world.store.author_tiers), now_ms
        await super().work()

    def expire_relations(self) -> None:
        now_ms, cached = self.world.clock.now_ms(), self.world.cache.relations
        for user, (_, relations) in list(cached.items()):
            stands, since_ms = self.known.get(user, (None, 0))
            if stands is not relations:
                self.known[user] = (relations, now_ms)
            elif relations is not None and now_ms - since_ms > CROSSING.relations_life_s * 1000:
                del cached[user]


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_page_holds_what_it_claims_whatever_the_tiers(seed: int) -> None:
    assert CROSSING.problems() == []
    world, dice = World(CROSSING), random.Random(seed)
    await world.work()
    life = TierLife(world, dice, [world.user() for _ in range(5)])
    for person in life.people:
        for _ in range(dice.choice([0, 5, 250])):
            world.seed_tweet(person, world.clock.now_ms() - dice.randrange(60_000, 10**9))
        for other in life.people:
            if other != person and dice.random() < 0.6:
                await world.follow(person, other)
    for _ in range(STEPS):
        await life.step()
    assert life.crossings > 2
    await life.work()
    world.clock.advance(WATERMARK_LAG_MS)
    world.worker_tiers = None
    await world.work()
    for person in life.people:
        assert await world.scroll(person, 20) == world.truth(person)
