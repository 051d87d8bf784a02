"""The runs for figures, on people who answer at once: what is forgotten, counted and left out, and what fails them."""

from __future__ import annotations

import itertools
import os
from types import SimpleNamespace
from typing import Any

import pytest

from rookery_server.cache import keys
from rookery_server.domain.clock import SystemClock
from rookery_server.store.memory.world import MemoryStoreWorld
from tests.support import figures_run
from tests.support.figures_run import Ground, cold, fairness
from tests.support.readers import now_ms


class Town:
    """An installation in which everything is there at once."""

    def __init__(self, page_of: int = 20) -> None:
        self.page_of = page_of
        self.pages: list[int] = []
        self.forgotten: list[bytes] = []
        self.lists = 0
        self.posted: list[bytes] = []
        self._arrived: list[bytes] = []
        self._numbers = itertools.count(1)

    def ground(self) -> Ground:
        own: Any = SimpleNamespace(node=SimpleNamespace(pid=os.getpid()), cassandra=[SimpleNamespace(pid=os.getpid())])
        anything: Any = self
        store: Any = MemoryStoreWorld(SystemClock(), shards=4).client()
        return Ground(own, own, own, anything, store, anything)

    # --- as a client ----------------------------------------------------------------------------------------------

    def acting_as(self, user: int) -> Acting:
        return Acting(self, user)

    async def create_user(self, name: str, timeout_s: float) -> Any:
        return SimpleNamespace(user=SimpleNamespace(id=next(self._numbers)))

    # --- as a cache -----------------------------------------------------------------------------------------------

    async def delete(self, *names: bytes) -> None:
        self.forgotten += names

    def pipeline(self) -> Town:
        return self

    def rpush(self, name: bytes, *ids: int) -> None:
        self.lists += 1

    async def execute(self) -> None:
        """Everything is done already."""

    async def lindex(self, name: bytes, at: int) -> bytes | None:
        """Nothing before the first page, which is not stored; the second one is."""
        builds = [keys.home(reader) for reader in self.pages].count(name)
        return (None, b"-7", b"0")[min(builds, 2)]

    async def lrange(self, name: bytes, first: int, last: int) -> list[bytes]:
        return self.posted[::-1][first : last + 1]

    async def lpos(self, name: bytes, value: str) -> int | None:
        """Finds what was posted before the look before."""
        arrived, self._arrived = self._arrived, list(self.posted)
        return 0 if value.encode() in arrived else None


class Acting:
    def __init__(self, town: Town, user: int) -> None:
        self._town, self._user = town, user

    async def home_page(self, page_size: int = 20, timeout_s: float = 1.0) -> Any:
        self._town.pages.append(self._user)
        through = SimpleNamespace(ToMilliseconds=lambda: now_ms() + 1)
        return SimpleNamespace(tweets=[0] * self._town.page_of, info=SimpleNamespace(complete_through=through))

    async def follow(self, author: int, timeout_s: float) -> None:
        """Nothing comes of it."""

    async def create_tweet(self, text: str, timeout_s: float) -> Any:
        tweet_id = 1_000 + len(self._town.posted)
        self._town.posted.append(str(tweet_id).encode())
        return SimpleNamespace(tweet=SimpleNamespace(id=tweet_id))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FOLLOWEES": (2, 3), "POSTS_EACH": 2, "LARGE": 5, "SMALL_AUTHORS": 2, "SMALL_FOLLOWERS": 2,
        "SMALL_PER_S": 500.0, "ROUND_S": 0.05, "WARM_UP": 1,
    }.items():  # fmt: skip
        monkeypatch.setattr(figures_run, name, value)


def silent(line: str) -> None:
    """Nobody listens."""


@pytest.mark.usefixtures("small")
async def test_cold_homes_by_followees_with_and_without_author_lists() -> None:
    town = Town()
    told = await cold(town.ground(), 2, silent)
    kinds = [f"{count} followees, author lists {how}" for count in (2, 3) for how in ("cached", "not cached")]
    assert set(told) == {"fixed_loop_ms", *kinds}
    for kind in kinds:
        assert set(told[kind]) == {"ms", "server_cpu_ms", "cassandra_cpu_ms"}
        assert all(least <= median <= most for least, median, most in told[kind].values())
    authors, readers = (1, 2, 3), (4, 5)
    reads = 2 * (2 + 1)  # with author lists and without, two rounds and WARM_UP
    assert [town.forgotten.count(keys.home(reader)) for reader in readers] == [reads, reads]
    assert [town.forgotten.count(keys.author(author)) for author in authors] == [reads, reads, reads // 2]


@pytest.mark.usefixtures("small")
async def test_a_cold_home_that_lacks_tweets_is_no_figure() -> None:
    with pytest.raises(AssertionError):
        await cold(Town(page_of=19).ground(), 1, silent)


@pytest.mark.usefixtures("small")
async def test_small_authors_calm_and_beside_a_large_one() -> None:
    town = Town()
    told = await fairness(town.ground(), 2, silent)
    assert town.lists == 5  # one for everybody of the crowd
    assert sorted(town.pages) == [4, 4, 5, 5]  # until the home of each follower is stored
    for name in ("fixed_loop_ms", "stolen_percent", "p99_calm_ms", "p99_beside_ms", "p99_ratio", "large_fanout_s"):
        least, median, most = told[name]
        assert 0 <= least <= median <= most, name
    assert told["large_fanouts"] > 0


class Deaf(Town):
    async def lpos(self, name: bytes, value: str) -> int | None:
        return None


@pytest.mark.usefixtures("small")
async def test_a_post_that_does_not_arrive_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_run, "ARRIVES_WITHIN_S", 0.05)
    with pytest.raises(AssertionError, match=r"\d+ is not in the list of 4, which begins \[b'"):
        await fairness(Deaf().ground(), 1, silent)
