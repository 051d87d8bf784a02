"""Whose page goes next, and by what tier: rules D6 and D20 of docs/protocols/delivery.md."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from rookery_server.domain import ids, limits
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier, Crossing, Thresholds
from rookery_server.metrics import Metrics
from rookery_server.workers.fanout import FanOut
from rookery_server.workers.pace import Pace
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.turns import Turns
from tests.unit.workers.world import Unasked, World, spin, value

AT_ONCE, FURTHER = 4, 2
AUTHOR = 30


class Stage:
    """Pages that end one by one, in the order they began, when told."""

    def __init__(self) -> None:
        self.turns, self.begun = Turns(AT_ONCE, FURTHER), list[str]()
        self._running: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    def page(self, name: str, *, first: bool) -> asyncio.Task[None]:
        task = asyncio.create_task(self._page(name, first))
        self.tasks.append(task)
        return task

    async def _page(self, name: str, first: bool) -> None:
        async with self.turns.turn(first=first):
            self.begun.append(name)
            over = asyncio.Event()
            self._running.append(over)
            await over.wait()

    async def end_one(self) -> None:
        self._running.pop(0).set()
        await spin()

    async def large(self, pages: int) -> None:
        for _ in range(pages):
            await self.page("large", first=False)

    async def run_out(self) -> None:
        while self._running:
            await self.end_one()
        await asyncio.gather(*(task for task in self.tasks if not task.cancelled()))


async def test_delivery_D6_a_small_author_waits_for_no_more_than_the_pages_in_hand() -> None:
    stage = Stage()
    crowd = [asyncio.create_task(stage.large(pages=20)) for _ in range(50)]
    await spin()
    for _ in range(200):
        small = stage.page("small", first=True)
        await spin()
        ended = 0
        while "small" not in stage.begun:
            await stage.end_one()
            ended += 1
        assert ended <= AT_ONCE
        stage.begun.clear()
        while not small.done():
            await stage.end_one()
    await stage.run_out()
    await asyncio.gather(*crowd)


async def test_delivery_D6_a_crowd_of_small_authors_does_not_stop_a_large_one() -> None:
    stage = Stage()
    for _ in range(AT_ONCE):
        stage.page("busy", first=True)
    large = asyncio.create_task(stage.large(pages=10))
    for _ in range(200):
        stage.page("small", first=True)
    await spin()
    while not large.done():
        await stage.end_one()
    large_at = [at for at, name in enumerate(stage.begun) if name == "large"]
    assert len(large_at) == 10
    # An event has one page at a time, so at the worst it waits for its own last one and then for its turn.
    assert all(later - earlier <= 2 * AT_ONCE + 1 for earlier, later in itertools.pairwise(large_at))
    await stage.run_out()


async def test_delivery_D6_never_more_pages_than_that_and_never_a_turn_lost() -> None:
    stage = Stage()
    waiting = [stage.page("page", first=number % 2 == 0) for number in range(40)]
    await spin()
    assert len(stage.begun) == AT_ONCE
    for task in waiting[5:30:3]:
        task.cancel()
    granted = waiting[AT_ONCE + 1]
    await stage.end_one()
    granted.cancel()
    await asyncio.gather(*waiting[5:30:3], granted, return_exceptions=True)
    while stage._running:
        await stage.end_one()
    assert all(task.done() for task in waiting)
    for _ in range(AT_ONCE):
        stage.page("after", first=False)
        stage.page("before", first=True)
    await spin()
    assert (stage.begun.count("after"), stage.begun.count("before")) == (FURTHER, AT_ONCE - FURTHER)
    await stage.end_one()
    assert (stage.begun.count("after"), stage.begun.count("before")) == (FURTHER, AT_ONCE - FURTHER + 1)
    await stage.run_out()


async def test_delivery_D6_large_authors_never_have_all_turns() -> None:
    stage = Stage()
    crowd = [asyncio.create_task(stage.large(pages=3)) for _ in range(10)]
    await spin()
    assert stage.begun == ["large"] * FURTHER
    stage.page("small", first=True)
    await spin()
    assert stage.begun[-1] == "small", "at once"
    await stage.run_out()
    await asyncio.gather(*crowd)


async def test_delivery_D6_a_page_is_pushed_in_turns() -> None:
    world = World(WorkerSettings(follower_page=7, deliveries_a_turn=3))
    for follower in range(1, 10):
        world.follow(follower, AUTHOR)
        world.cache.build(follower)
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    pages = [followers for what, _, followers in world.cache.calls if what == "deliver"]
    assert pages == [(1, 2, 3), (4, 5, 6), (7,), (8, 9)]
    assert [world.cache.home(follower) for follower in range(1, 10)] == [[tweet]] * 9
    await world.close()


async def test_delivery_D6_a_turn_granted_to_whoever_is_cancelled_that_moment_goes_on() -> None:
    stage = Stage()
    for _ in range(AT_ONCE):
        stage.page("busy", first=True)
    unlucky = stage.page("unlucky", first=True)
    stage.page("next", first=True)
    await spin()
    stage._running.pop(0).set()
    await asyncio.sleep(0)  # its turn is given back and granted to the unlucky one, who has not run yet
    unlucky.cancel()
    await spin()
    assert "unlucky" not in stage.begun
    assert stage.begun[-1] == "next"
    await asyncio.gather(unlucky, return_exceptions=True)
    stage.tasks.remove(unlucky)
    await stage.run_out()


async def test_delivery_D6_what_is_placed_again_waits_behind_first_pages() -> None:
    world = World(WorkerSettings(follower_page=1, pages_at_once=1))
    for follower in range(100, 140):
        world.follow(follower, AUTHOR)
        world.cache.build(follower)
    world.follow(1, 31)
    world.cache.build(1)
    await world.start()
    first = world.post(AUTHOR, repeat=True)
    small = world.post(31)
    await world.time.advance(1.1)
    order = [id_ for what, id_, _ in world.cache.calls if what == "deliver"]
    assert order.count(first) == 40
    assert order.index(small) <= 2
    await world.close()


# --- tiers --------------------------------------------------------------------------------------------------------

QUICK = Crossing(
    announce_s=60, merge_s=600, rebuild_after_s=300, relations_life_s=10, directory_s=1, directory_max_age_s=20
)
SETTINGS = WorkerSettings(follower_page=3, thresholds=Thresholds(broad_from=5), crossing=QUICK)


def stage_of(followers: int) -> World:
    world = World(SETTINGS)
    for follower in range(1, followers + 1):
        world.follow(follower, AUTHOR)
        world.cache.build(follower)
    world.cache.build(AUTHOR)
    world.cache.node(AUTHOR).held.lists[f"u{AUTHOR}"] = []
    return world


def author_list(world: World) -> list[int]:
    return world.cache.node(AUTHOR).held.lists[f"u{AUTHOR}"]


@pytest.mark.parametrize(("followers", "tier"), [(4, "push"), (5, "broad")])
async def test_delivery_D20_the_time_to_the_last_delivery_by_tier(followers: int, tier: str) -> None:
    world = stage_of(followers)
    worker = await world.start()
    world.post(AUTHOR)
    await world.time.advance(1.1)
    assert value(worker.metrics, "rookery_fanout_completion_seconds_count", tier=tier) == 1
    await world.close()


async def test_delivery_D20_a_pull_authors_post_goes_into_the_authors_lists_alone() -> None:
    world = stage_of(7)
    world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, world.time.now_ms() - 1)
    worker = await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert author_list(world) == world.cache.home(AUTHOR) == [tweet]
    assert [world.cache.home(follower) for follower in range(1, 8)] == [[]] * 7
    assert value(worker.metrics, "rookery_fanout_completion_seconds_count", tier="pull") == 1
    assert value(worker.metrics, "rookery_outbox_events_total", kind="post", outcome="applied") == 1
    await world.close()


async def test_delivery_D20_announced_to_pull_what_was_posted_before_the_switch_is_delivered() -> None:
    world = stage_of(2)
    await world.start()
    switch_ms = world.time.now_ms() + 20_000
    world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, switch_ms)
    await world.time.advance(19.9)
    before = world.post(AUTHOR, row=False)
    await world.time.advance(0.2)
    after = world.post(AUTHOR)
    await world.time.advance(10)
    world.commit_tweet(AUTHOR, before)
    await world.time.advance(8)
    assert ids.time_ms(before) < switch_ms < ids.time_ms(after)
    assert world.cache.home(1) == [before], "by the time of its id, however late it is applied"
    assert author_list(world) == [after, before]
    await world.close()


async def test_delivery_D20_a_repeat_of_an_old_tweet_is_decided_as_the_tweet_was() -> None:
    world = stage_of(1)
    world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, world.time.now_ms() + 5_000)
    await world.start()
    tweet = world.post(AUTHOR, event=False)
    await world.time.advance(20)
    world.commit(Event(world.mint(), EventKind.POST, AUTHOR, tweet, ids.write_timestamp_us(tweet), repeat=True))
    await world.time.advance(2)
    assert world.cache.home(1) == [tweet]
    await world.close()


async def test_delivery_D20_on_the_way_back_everything_is_delivered_from_the_announcement_on() -> None:
    world = stage_of(1)
    world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, False, world.time.now_ms() + 600_000)
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]
    await world.close()


async def test_delivery_D20_a_directory_that_is_too_old_leaves_posts_open() -> None:
    world = stage_of(1)
    worker = await world.start()

    async def hook(what: str) -> None:
        if what == "tiers":
            await asyncio.Event().wait()

    world.truth.hook = hook
    await world.time.advance(25)
    tweet = world.post(AUTHOR)
    await world.time.advance(10)
    assert world.cache.home(1) == author_list(world) == []
    assert world.claim(AUTHOR) < ids.time_ms(tweet)
    world.truth.hook = None
    await worker.read_tiers()
    await world.time.advance(8)
    assert world.cache.home(1) == [tweet]
    await world.close()


async def test_delivery_D20_tiers_are_known_before_the_first_post_is_applied() -> None:
    world = World(replace(SETTINGS, crossing=replace(QUICK, directory_s=15)))
    world.follow(1, AUTHOR)
    world.cache.build(1)
    world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, 0)
    await world.start()
    world.post(AUTHOR, ring=True)
    await spin()
    assert world.cache.home(1) == []
    await world.close()


class NobodyIsPull:
    def row(self, author_id: int) -> AuthorTier | None:
        return None


def one_turn_at_a_time(
    world: World, rest: Callable[[float], Awaitable[None]], settings: WorkerSettings
) -> tuple[Pace, FanOut]:
    pace = Pace(world.time, rest)
    turns, tiers = Turns(1, 1), NobodyIsPull()
    return pace, FanOut(world.truth, world.cache, world.time, tiers, turns, pace, settings, Metrics())


def posted(world: World, author: int) -> Event:
    """Of a new post."""
    world.post(author)
    event = world.truth.log[-1].event
    assert event is not None
    return event


async def test_delivery_D6_a_large_fanout_rests_while_others_begin_and_only_then() -> None:
    """One turn at a time, four for either author: the one that rests then waits for the other's."""
    world, rests, small, a_turn = World(), list[float](), AUTHOR + 1, 0.1
    settings = WorkerSettings(follower_page=4, deliveries_a_turn=2, further_rest=0.5)

    async def slow(call: str) -> None:
        if call == "deliver":
            await world.time.sleep(a_turn)

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await world.time.sleep(seconds)

    world.cache.hook = slow
    pace, fanout = one_turn_at_a_time(world, rest, settings)
    for follower in range(100, 108):
        world.follow(follower, AUTHOR, small)

    def begin(author: int, *, in_place: bool = False) -> asyncio.Task[object]:
        event = posted(world, author)
        with nullcontext() if in_place else pace.beginning(event.id):
            return asyncio.create_task(fanout.run(event, {}, in_place=in_place, orders=Unasked()))

    alone = begin(AUTHOR)
    await world.time.advance(0.41)
    assert alone.done()
    assert rests == [], "nobody else began"
    both = begin(AUTHOR), begin(small)
    await world.time.advance(1.1)
    assert all(one.done() for one in both)
    assert rests == pytest.approx([0.05] * 3), "by the turn alone, whoever was waited for, and not behind the last one"
    rests.clear()
    again = begin(AUTHOR, in_place=True), begin(small)
    await world.time.advance(1.1)
    assert all(one.done() for one in again)
    assert rests == [], "what is applied again is waited for"
    a_turn = 0.6
    later = begin(AUTHOR), begin(small)
    await world.time.advance(6.0)
    assert all(one.done() for one in later)
    assert rests == pytest.approx([0.3]), "nobody else began for a second"


async def test_delivery_D6_it_rests_for_what_it_read_too_and_no_longer_than_its_own_followers_can_wait() -> None:
    world, rests = World(), list[float]()
    settings = WorkerSettings(follower_page=2, deliveries_a_turn=2, further_rest=2.0, further_rest_until_s=1.5)

    async def slow(call: str) -> None:
        await world.time.sleep({"followers": 0.2, "deliver": 0.1}.get(call, 0))

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await world.time.sleep(seconds)

    world.truth.hook = world.cache.hook = slow
    pace, fanout = one_turn_at_a_time(world, rest, settings)
    for follower in range(100, 108):
        world.follow(follower, AUTHOR)
    event = posted(world, AUTHOR)
    with pace.beginning(event.id + 1):
        fanning = asyncio.create_task(fanout.run(event, {}, in_place=False, orders=Unasked()))
        await world.time.advance(3.0)
    assert fanning.done()
    # Placed 0.1, read 0.2, pushed 0.1, rested 0.6 for that, pushed 0.1 more: 0.4 are left of the 1.5.
    assert rests == pytest.approx([0.6, 0.4])


async def test_delivery_D6_no_rests_while_the_next_of_its_author_waits() -> None:
    world, rests, orders = World(), list[float](), Unasked()
    settings = WorkerSettings(follower_page=8, deliveries_a_turn=2, further_rest=2.0)

    async def slow(call: str) -> None:
        await world.time.sleep(0.1 if call == "deliver" else 0)

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        orders.hurry = len(rests) == 1  # the next one comes during the first rest
        await world.time.sleep(seconds)

    world.cache.hook = slow
    pace, fanout = one_turn_at_a_time(world, rest, settings)
    for follower in range(100, 108):
        world.follow(follower, AUTHOR)
    event = posted(world, AUTHOR)
    with pace.beginning(event.id + 1):
        fanning = asyncio.create_task(fanout.run(event, {}, in_place=False, orders=orders))
        # Pushed 0.1, rested 0.2, pushed 0.1, and at once the third.
        await world.time.advance(0.45)
        orders.hurry = False
        await world.time.advance(1.0)
    assert fanning.done()
    assert rests == pytest.approx([0.2, 0.2])


def test_delivery_D6_rests_end_before_homes_are_degraded_for_them() -> None:
    settings = WorkerSettings()
    assert (settings.further_rest_until_s + settings.poll_every_s) * 1000 < limits.DEGRADED_AFTER_MS
