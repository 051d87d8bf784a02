"""Random histories against the simplest model there is: a set of ids, sorted.

`test_agreement.py` shows that adapters answer alike; this shows that what they answer is right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, Link
from rookery_server.domain import ids, limits
from tests.conformance.cache.lists import build_home, home
from tests.conformance.cache.subjects import START_MS, ManualClock, Subject

USER = 42


# --- placing ----------------------------------------------------------------------------------------------------------


def some_ids(rng: random.Random, count: int) -> list[int]:
    """Newest first: of one millisecond, of one D, of last year, and from when ids had fewer digits."""
    ages = [0, 0, 1, 3, 900, 9_000, 11_000, 86_400_000, 400 * 86_400_000, START_MS - ids.EPOCH_MS - 20_000]
    found = {ids.compose(START_MS - rng.choice(ages), rng.randrange(3), rng.randrange(4)) for _ in range(count)}
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(40))
async def test_in_any_order_and_any_number_of_times(cache: Cache, seed: int) -> None:
    rng, links = random.Random(seed), await cache.open_links()
    tweets = some_ids(rng, rng.randrange(2, 30))
    built, whole = sorted(rng.sample(tweets, rng.randrange(1, len(tweets))), reverse=True), rng.random() < 0.5
    await build_home(cache, USER, built, whole=whole)
    floor = 0 if whole else built[-1]
    model = set(built)
    arriving = tweets * 2
    rng.shuffle(arriving)
    for tweet_id in arriving:
        delivered = await cache.deliver(tweet_id, [USER], links, True)
        outcome = (delivered.inserted, delivered.duplicate, delivered.inactive)
        assert outcome == (tweet_id not in model and tweet_id >= floor, tweet_id in model, tweet_id < floor)
        if tweet_id >= floor:
            model.add(tweet_id)
        assert await home(cache, USER) == sorted(model, reverse=True)
    assert (await cache.read_home(USER, 0, 1)).whole is whole


@pytest.mark.parametrize("seed", range(20))
async def test_plain_pushes_are_put_right_by_applying_again(cache: Cache, clock: ManualClock, seed: int) -> None:
    rng, links = random.Random(seed), await cache.open_links()
    below = clock.tweet(60_000)
    await build_home(cache, USER, [below], whole=rng.random() < 0.5)
    tweets = [clock.tweet(rng.randrange(limits.PLAIN_PUSH_MS), at) for at in range(8)]
    arriving = tweets + rng.choices(tweets, k=4)
    rng.shuffle(arriving)
    for tweet_id in arriving:
        assert (await cache.deliver(tweet_id, [USER], links, False)).pushed == 1
    assert await home(cache, USER) == [*arriving[::-1], below]
    for tweet_id in rng.sample(tweets, len(tweets)):
        assert (await cache.deliver(tweet_id, [USER], links, True)).inactive == 0
    assert await home(cache, USER) == [*sorted(tweets, reverse=True), below]


# --- builds -----------------------------------------------------------------------------------------------------------


@dataclass
class Builder:
    """One process that builds: what it has gathered since its token was placed."""

    cache: Cache
    token: int
    link: Link | None = None
    gathered: list[int] = field(default_factory=list)


class Timeline:
    """Posts, their deliveries and builds of one home list.  `held`: what the list must hold, None while there is none;
    `owner`: whose token is in place."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.subject, self.rng = subject, random.Random(seed)
        self.worker = subject.process()
        self.builders = [Builder(subject.process(), -1 - at) for at in range(2)]
        self.posted: list[int] = []
        self.open: list[int] = []
        self.owner: Builder | None = None
        self.meanwhile: set[int] = set()
        self.held: set[int] | None = None
        self.version = 0

    async def post(self) -> None:
        tweet_id = self.subject.clock.tweet(self.rng.randrange(1_900), len(self.posted))
        self.posted.append(tweet_id)
        self.open.append(tweet_id)

    async def deliver(self) -> None:
        if self.open:
            tweet_id = self.open.pop(self.rng.randrange(len(self.open)))
            await self.push(tweet_id, self.rng.random() < 0.6)

    async def deliver_again(self) -> None:
        if self.posted:
            await self.push(self.rng.choice(self.posted), True)

    async def push(self, tweet_id: int, in_place: bool) -> None:
        await self.worker.deliver(tweet_id, [USER], await self.worker.open_links(), in_place)
        self.meanwhile.add(tweet_id)
        if self.held is not None:
            self.held.add(tweet_id)

    async def begin(self) -> None:
        builder = self.rng.choice(self.builders)
        link = await builder.cache.begin_home(USER, builder.token)
        assert (link is None) == (self.owner is not None)
        if link is not None:
            builder.link, builder.gathered = link, []
            self.owner, self.held, self.meanwhile = builder, None, set()
            # The truth is read only now, and posts of before are all in it.
            builder.gathered = sorted(self.posted, reverse=True)

    async def finish(self) -> None:
        builder = self.rng.choice(self.builders)
        if builder.link is None:
            return
        self.version += 1
        mine = self.owner is builder
        stored = await builder.cache.finish_home(
            USER, builder.token, builder.gathered, True, self.version, builder.link, 0
        )
        assert stored is mine
        if mine:
            self.held, self.owner = {*builder.gathered, *self.meanwhile}, None

    async def stub(self) -> None:
        self.version += 1
        assert await self.worker.stub_relations(USER, self.version)
        self.owner = self.held = None

    async def run_out(self) -> None:
        """The token's life, or the list's."""
        if self.owner is not None or self.held is not None:
            self.subject.shorten(keys.home(USER), 0)
            self.owner = self.held = None

    async def check(self) -> None:
        read = await self.worker.read_home(USER, 0, 2_000)
        assert read.exists is (self.held is not None)
        assert set(read.ids) == (self.held or set())
        if self.held is not None:
            assert read.whole
            # Nothing that was delivered is missing, whoever built meanwhile.
            assert {*self.posted} - {*self.open} <= self.held


@pytest.mark.parametrize("seed", range(30))
async def test_builds_among_deliveries_lose_nothing(subject: Subject, seed: int) -> None:
    timeline = Timeline(subject, seed)
    await timeline.worker.open_links()
    steps = [
        timeline.post,
        timeline.deliver,
        timeline.deliver_again,
        timeline.begin,
        timeline.finish,
        timeline.stub,
        timeline.run_out,
    ]
    for _ in range(80):
        (step,) = timeline.rng.choices(steps, [5, 5, 2, 4, 4, 1, 1])
        await step()
        await timeline.check()
    while timeline.open:
        await timeline.deliver()
    if timeline.held is not None:
        assert timeline.held == {*timeline.posted}
        for tweet_id in timeline.posted:
            await timeline.push(tweet_id, True)
        assert await home(timeline.worker, USER) == sorted(timeline.posted, reverse=True)
