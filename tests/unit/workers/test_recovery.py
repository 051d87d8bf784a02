"""What recoveries cost: nothing piles up, nothing is applied more often than it has to be."""

from __future__ import annotations

import asyncio

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.workers.settings import WorkerSettings
from tests.unit.workers.world import World, spin, value

AUTHOR = 30


def placed(world: World, tweet: int) -> int:
    return sum(what == "place_author" and number == tweet for what, number, _ in world.cache.calls)


async def test_recoveries_that_fail_do_not_pile_up_work(world: World) -> None:
    world.follow(1, AUTHOR)
    world.cache.build(1)
    await world.start()
    tweet = world.post(AUTHOR, row=False)
    await world.time.advance(2)
    log_away = True

    async def hook(what: str) -> None:
        if what == "read" and log_away:
            raise StoreUnavailable

    world.truth.hook = hook
    world.cache.node(1).cut()
    await world.time.advance(60)
    log_away = False
    world.commit_tweet(AUTHOR, tweet)
    await world.time.advance(30)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
    assert placed(world, tweet) <= 4


async def test_a_long_outage_leaves_the_prints_as_they_were(world: World) -> None:
    world.follow(1, AUTHOR)
    world.cache.build(1)
    worker = await world.start()
    for _ in range(47):
        world.post(AUTHOR)
        await world.time.advance(1)
    world.cache.node(1).cut(up=False)
    await world.time.advance(300)
    world.cache.node(1).cut()
    await world.time.advance(400)
    for age in ("30s", "5m"):
        assert value(worker.metrics, "rookery_outbox_audits_total", age=age, result="equal") > 0
        assert value(worker.metrics, "rookery_outbox_audits_total", age=age, result="different") == 0


async def test_the_bell_does_not_fill_a_shard_that_polls_no_more() -> None:
    world = World(WorkerSettings(open_events_max=10))
    try:
        worker = await world.start()
        for _ in range(50):
            world.post(AUTHOR, row=False, ring=True)
            await world.time.advance(0.01)
        await world.time.advance(2)
        assert value(worker.metrics, "rookery_fanout_open_events") <= 12
    finally:
        await world.close()


async def test_a_shard_taken_again_while_its_position_was_being_read_is_worked(world: World) -> None:
    worker = world.worker()
    slow, waiting = asyncio.Event(), 0

    async def hook(what: str) -> None:
        nonlocal waiting
        if what == "load_progress":
            waiting += 1
            if waiting == 1:
                await slow.wait()

    world.truth.hook = hook
    first = asyncio.create_task(worker.gained(2, 1))
    await spin()
    await worker.lost(2)

    second = asyncio.create_task(worker.gained(2, 2))
    slow.set()
    await asyncio.gather(first, second)
    assert worker.shards == {2}


async def test_delivery_D21_a_node_that_refuses_does_not_have_everything_applied_again_each_second(
    world: World,
) -> None:
    world.follow(1, AUTHOR)
    world.cache.build(1)
    worker = await world.start()
    await world.time.advance(10)
    world.cache.node(1).refusing = True
    for _ in range(20):
        world.post(AUTHOR)
    await world.time.advance(120)
    again = value(worker.metrics, "rookery_outbox_events_total", kind="post", outcome="reapplied")
    assert 20 * 8 <= again <= 20 * 14, "after 1, 2, 4, 8 s and then every 15"
    assert world.time.now_ms() - world.claim(AUTHOR) > 120_000
    world.cache.node(1).refusing = False
    await world.time.advance(18)
    assert len(world.cache.home(1)) == 20
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000


async def test_delivery_D21_a_new_link_is_a_new_chance(world: World) -> None:
    world.follow(1, AUTHOR)
    world.cache.build(1)
    await world.start()
    await world.time.advance(10)
    world.cache.node(1).refusing = True
    tweet = world.post(AUTHOR)
    await world.time.advance(32)
    world.cache.node(1).refusing = False
    world.cache.node(1).cut()
    await world.time.advance(3)
    assert world.cache.home(1) == [tweet]
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000


async def test_delivery_D21_after_one_that_helped_the_next_comes_at_once(world: World) -> None:
    await world.start()
    await world.time.advance(10)
    for _ in range(4):
        world.cache.node(1).cut()
        await world.time.advance(5)
        assert world.time.now_ms() - world.claim(AUTHOR) < 8_000


async def test_delivery_D15_what_does_not_end_in_time_is_left_to_a_successor() -> None:
    world = World(WorkerSettings(drain_s=5))
    try:
        world.follow(1, AUTHOR)
        world.cache.build(1)
        worker = await world.start()

        async def hook(what: str) -> None:
            if what == "deliver":
                await asyncio.Event().wait()

        world.cache.hook = hook
        tweet = world.post(AUTHOR)
        await world.time.advance(2)
        leaving = asyncio.create_task(worker.drain())
        await world.time.advance(4)
        assert not leaving.done()
        await world.time.advance(2)
        await leaving
        assert worker.shards == frozenset()
        world.cache.hook = None
        await world.start("b")
        await world.time.advance(25)
        assert world.cache.home(1) == [tweet]
        assert world.claim(AUTHOR) > ids.time_ms(tweet)
    finally:
        await world.close()
