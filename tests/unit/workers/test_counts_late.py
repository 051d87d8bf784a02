"""Counting gives way to deliveries: rule N10 of docs/protocols/count.md, on whole workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.workers import counts as counts_module
from tests.unit.workers.test_counts import AUTHOR, READER, TWEETS, counted, stored
from tests.unit.workers.world import World, value


class OneCore:
    """A store that answers one request at a time, each after its cost: who asks much makes others wait."""

    def __init__(self, world: World) -> None:
        self._time, self._core, self._cost_s = world.time, asyncio.Lock(), {"recount": 0.03, "read": 0.01}
        world.truth.hook = self._serve

    async def _serve(self, what: str) -> None:
        async with self._core:
            await self._time.sleep(self._cost_s.get(what, 0.002))


async def left_uncounted(world: World, authors: Sequence[int]) -> None:
    """By a predecessor that applied all of it: half an hour of log."""
    for number, author in enumerate(authors):
        world.post(author, age_s=1_800 * (1 - number / len(authors)) + 60)


async def mean_delivery(world: World, seconds: int) -> float:
    """Of four posts a second, from the ring to the push to a follower; seconds."""
    world.follow(READER, AUTHOR)
    began, took = 0.0, list[float]()

    async def hook(what: str) -> None:
        if what == "deliver":
            took.append(world.time.monotonic() - began)

    world.cache.hook = hook
    for _ in range(seconds * 4):
        began = world.time.monotonic()
        world.post(AUTHOR, ring=True)
        await world.time.advance(0.25)
    assert len(took) == seconds * 4
    return sum(took) / len(took)


async def test_count_N10_a_storm_of_recounts_leaves_the_store_to_deliveries(world: World) -> None:
    """In calm a delivery takes its two requests, 0.004 s."""
    authors = range(1_000, 1_600)
    await left_uncounted(world, authors)
    OneCore(world)
    await world.start()
    assert await mean_delivery(world, 15) < 0.012
    late = {subject for subject, _, _ in world.truth.recounted} - {AUTHOR}
    assert 20 < len(late) < len(authors), "the storm went on, and is not over"
    assert 60 - (stored(world, AUTHOR, TWEETS) or 0) <= 4 * 10, "what is new does not wait behind it"


async def test_count_N10_in_calm_all_counters_count_what_is_late(world: World) -> None:
    authors = range(1_000, 1_040)
    await left_uncounted(world, authors)
    running = most = 0

    async def hook(what: str) -> None:
        nonlocal running, most
        if what == "recount":
            running += 1
            most = max(most, running)
            await world.time.sleep(1)
        running -= what == "recounted"

    world.truth.hook = hook
    await world.start()
    await world.time.advance(25)
    assert most == world.settings.recounts_at_once
    assert {subject for subject, _, _ in world.truth.recounted} == set(authors)


async def test_count_N10_beside_deliveries_one_that_is_late_at_a_time_and_those_touched_now_first(
    world: World,
) -> None:
    await left_uncounted(world, range(1_000, 1_040))
    late = most = 0
    order = list[int]()

    async def hook(what: str) -> None:
        nonlocal late, most
        if what == "recount":
            late += 1
            most = max(most, late)
            await world.time.sleep(1)
        late -= what == "recounted"

    await world.start()
    world.truth.hook = hook
    for _ in range(100):
        world.post(READER, ring=True)
        await world.time.advance(0.5)
    order = [subject for subject, _, _ in world.truth.recounted]
    assert most <= 2, "one late, and the reader's own"
    assert 8 <= len(set(order) - {READER}) <= 12, "one second, then four of rest"
    assert order.count(READER) >= 6


async def test_count_N10_what_is_late_is_late_no_more_when_touched(world: World) -> None:
    await left_uncounted(world, range(1_000, 1_040))

    async def hook(what: str) -> None:
        if what == "recount":
            await world.time.sleep(2)

    await world.start()
    world.truth.hook = hook
    last = 1_039
    world.post(last, ring=True)
    for _ in range(20):
        world.post(READER, ring=True)
        await world.time.advance(0.5)
    assert last in {subject for subject, _, _ in world.truth.recounted}


async def test_count_N10_behind_for_long_counting_goes_on(world: World) -> None:
    await left_uncounted(world, range(1_000, 1_040))
    await world.start()

    async def hook(what: str) -> None:
        if what == "user_tweet":
            await asyncio.Event().wait()

    world.truth.hook = hook
    world.post(READER, ring=True)
    await world.time.advance(60)
    assert 20 <= len(world.truth.recounted) <= 40


async def test_count_N10_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_module, "LATE_AT_ONCE", 10)
    await left_uncounted(world, range(1_000, 1_090))  # three a minute
    worker = await world.start()
    most = 0.0
    for _ in range(60):
        await world.time.advance(1)
        worker._recounts.report()
        most = max(most, value(worker.metrics, "rookery_recounts_waiting"))
    assert 10 <= most <= 13
    assert len(counted(world)) == 90


async def test_count_N10_what_failed_while_late_and_was_touched_meanwhile_holds_nothing_up(world: World) -> None:
    await left_uncounted(world, range(1_000, 1_040))
    await world.start()
    failing = True

    async def hook(what: str) -> None:
        if what == "recount" and failing:
            await world.time.sleep(0.3)
            raise StoreUnavailable

    world.truth.hook = hook
    for number in range(40):
        world.post(1_000 + number, ring=True)
        await world.time.advance(0.5)
    assert stored(world, 1_000, TWEETS) is None
    failing = False
    await world.time.advance(20)
    assert {subject for subject, _, _ in counted(world)} == set(range(1_000, 1_040))
