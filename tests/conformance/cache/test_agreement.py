"""Random sequences run against the adapter and against the memory adapter: what they answer and leave must be equal.

For the memory adapter itself this shows that it is deterministic; for any other that the two agree.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from rookery_server.cache.interface import AuthorRead, Cache, HistoryRead, HomeRead, Link, ProfileRead, RelationsRead
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain import ids as snowflake
from rookery_server.domain.models import Relations
from tests.conformance.cache.lists import begin_author, finish_author
from tests.conformance.cache.subjects import ManualClock

USERS = (1, 2, 3)
STEPS = 60
STEPS_OF_LISTS = ("begin", "finish", "deliver", "place", "own", "stub", "look", "load")


class Side:
    """One adapter under the sequence.  Links and raw values are its own and never compared."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.links: dict[str, Link] = {}
        self.tokens: dict[tuple[str, int], tuple[int, Link]] = {}
        self.seen: dict[int, RelationsRead] = {}
        self.profiles: dict[int, ProfileRead] = {}

    async def open(self) -> None:
        self.links = await self.cache.open_links()

    async def begin(self, kind: str, user: int, token: int) -> bool:
        home = kind == "home"
        link = await (self.cache.begin_home(user, token) if home else begin_author(self.cache, user, token))
        if link is not None:
            self.tokens[kind, user] = token, link
        return link is not None

    async def finish(self, kind: str, user: int, gathered: list[int], whole: bool) -> bool | None:
        if (kind, user) not in self.tokens:
            return None
        token, link = self.tokens.pop((kind, user))
        if kind == "home":
            return await self.cache.finish_home(user, token, gathered, whole, token, link, -token * 1_000)
        return await finish_author(self.cache, user, token, gathered, whole, link)

    async def deliver(self, tweet: int, users: list[int], in_place: bool) -> Any:
        return await self.cache.deliver(tweet, users, self.links, in_place)

    async def place(self, user: int, tweet: int) -> Any:
        return await self.cache.place_author(user, tweet, self.links)

    async def own(self, user: int, tweet: int) -> None:
        await self.cache.place_own(user, tweet)

    async def stub(self, user: int, version: int, once: bool) -> Any:
        if once:
            return await self.cache.overwrite_relations(user, version, self.links, version)
        return await self.cache.stub_relations(user, version, version)

    async def look(self, user: int) -> None:
        self.seen[user] = (await self.cache.read_home(user, 0, 1)).relations

    async def load(self, user: int, version: int) -> bool:
        seen = self.seen.get(user) or replace(await self.cache.read_relations(user), seen=None)
        return await self.cache.store_relations(user, seen, Relations(version, frozenset({version})))

    async def keep(self, user: int, gathered: list[int], version: int) -> bool:
        seen = self.seen[user].seen if user in self.seen else None
        history = HistoryRead(version + 1, version, tuple(gathered), version, -version)
        return seen is not None and await self.cache.store_history(user, seen, history)

    async def profile(self, user: int, version: int) -> None:
        if version % 2:
            assert await self.cache.stub_profile(user, version)
        else:
            await self.cache.overwrite_profile(user, version, self.links)

    async def look_at_profiles(self) -> None:
        self.profiles = await self.cache.read_profiles(USERS)

    async def load_profiles(self, users: list[int], version: int) -> None:
        seen = {user: self.profiles[user] for user in users if user in self.profiles}
        await self.cache.store_profiles({user: (one, b"%d" % version) for user, one in seen.items()})

    async def read(self, start: int, count: int) -> Any:
        homes = [_home(await self.cache.read_home(user, start, count)) for user in USERS]
        authors = await self.cache.read_authors(USERS, count)
        profiles = await self.cache.read_profiles(USERS)
        return (
            homes,
            {author: _author(read) for author, read in sorted(authors.items())},
            await self.cache.read_heads(USERS),
            [await self.cache.read_history(user) for user in USERS],
            {user: (read.seen is None, read.value) for user, read in profiles.items()},
        )


def _home(read: HomeRead) -> Any:
    return (
        read.exists,
        read.ids,
        read.reached_end,
        read.whole,
        read.built_under,
        read.built_ms,
        _relations(read.relations),
    )


def _relations(read: RelationsRead) -> Any:
    return read.seen is None, read.version, read.relations


def _author(read: AuthorRead) -> Any:
    return read.exists, read.ids, read.reached_end, read.whole


class Steps:
    """The next step, drawn once and taken by both sides."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self.dice = random.Random(seed)
        ages = [0, 1, 40, 1_500, 9_000, 30_000]
        self.pool = sorted({snowflake.compose(now_ms - self.dice.choice(ages), 1, at) for at in range(18)})
        self.token = 0

    def draw(self) -> tuple[str, tuple[Any, ...]]:
        dice = self.dice
        user, tweet, kind = dice.choice(USERS), dice.choice(self.pool), dice.choice(["home", "author"])
        name = dice.choices(
            [*STEPS_OF_LISTS, "keep", "profile", "look_at_profiles", "load_profiles"],
            [5, 5, 12, 6, 3, 2, 3, 3, 2, 1, 2, 2],
        )[0]
        match name:
            case "begin":
                self.token -= 1
                return name, (kind, user, self.token)
            case "finish":
                gathered = sorted(dice.sample(self.pool, dice.randrange(0, 8)), reverse=True)
                return name, (kind, user, gathered, dice.random() < 0.6)
            case "deliver":
                return name, (tweet, dice.sample(USERS, 2), dice.random() < 0.6)
            case "place" | "own":
                return name, (user, tweet)
            case "keep":
                return name, (user, dice.sample(self.pool, dice.randrange(0, 8)), dice.randrange(1, 30))
            case "profile":
                return name, (user, dice.randrange(1, 12))
            case "look_at_profiles":
                return name, ()
            case "load_profiles":
                return name, (dice.sample(USERS, 2), dice.randrange(1, 30))
            case "stub":
                return name, (user, dice.randrange(1, 12), dice.random() < 0.6)
            case "load":
                return name, (user, dice.randrange(1, 30))
        return name, (user,)


@pytest.mark.parametrize("seed", range(25))
async def test_both_answer_alike_and_leave_the_same(cache: Cache, clock: ManualClock, seed: int) -> None:
    world = MemoryCacheWorld(clock)
    world.adopt()
    sides = [Side(cache), Side(world.client())]
    steps = Steps(seed, clock.now_ms())
    for side in sides:
        await side.open()
    for number in range(STEPS):
        name, arguments = steps.draw()
        answers = [await getattr(side, name)(*arguments) for side in sides]
        assert answers[0] == answers[1], f"step {number}: {name}{arguments}"
        span = steps.dice.choice([(0, 3), (0, 30), (2, 4)])
        reads = [await side.read(*span) for side in sides]
        assert reads[0] == reads[1], f"after step {number}: {name}{arguments}"
