"""The cap is judged by a number that is cheap while it does not matter, and true where it does."""

from __future__ import annotations

from rookery_server.domain.limits import FOLLOWING_COUNT_LIFE_S, FOLLOWING_COUNTED_FROM
from rookery_server.domain.models import Edge
from rookery_server.services.following_counts import FollowingCounts
from tests.unit.services.clocks import TestClock


class Partitions:
    """Counts its reads."""

    def __init__(self, follows: int):
        self.follows, self.reads = follows, 0

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        self.reads += 1
        return tuple(Edge(follower_id, n, n < self.follows, n) for n in range(self.follows + 3))


def counts(follows: int) -> tuple[FollowingCounts, Partitions, TestClock]:
    store, clock = Partitions(follows), TestClock()
    return FollowingCounts(store, clock), store, clock  # type: ignore[arg-type]


async def test_removed_edges_do_not_count_and_own_changes_do() -> None:
    kept, store, _ = counts(5)
    assert await kept.of(1) == 5
    kept.changed(1, 1)
    kept.changed(1, 1)
    kept.changed(1, -1)
    assert await kept.of(1) == 6
    assert store.reads == 1


async def test_a_count_is_read_again_after_a_minute() -> None:
    kept, store, clock = counts(5)
    await kept.of(1)
    clock.advance(int(FOLLOWING_COUNT_LIFE_S * 1000))
    store.follows = 9
    assert await kept.of(1) == 9


async def test_near_the_cap_it_is_read_every_time() -> None:
    kept, store, _ = counts(FOLLOWING_COUNTED_FROM)
    await kept.of(1)
    store.follows += 2
    assert await kept.of(1) == FOLLOWING_COUNTED_FROM + 2
    assert store.reads == 2
