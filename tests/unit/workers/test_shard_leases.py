"""Rules L9 to L13 of docs/protocols/lease.md, on whole workers."""

from __future__ import annotations

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.workers.runner import Worker
from tests.unit.workers.world import SHARDS, World, value

AUTHOR = 30


def held(*workers: Worker) -> list[int]:
    return [len(worker.shards) for worker in workers]


def transitions(worker: Worker, change: str) -> float:
    return value(worker.metrics, "rookery_lease_transitions_total", kind="shard", change=change)


async def test_lease_L9_a_jump_of_the_wall_clock_loses_all_shards(world: World) -> None:
    worker = await world.start()
    world.time.wall_ms += 5_000
    await world.time.advance(1)
    assert transitions(worker, "lost") == SHARDS


async def test_lease_L10_no_shard_is_taken_with_a_wrong_clock(world: World) -> None:
    world.truth.offsets = (1_500, 1_500, 1_500)
    worker = await world.start()
    await world.time.advance(20)
    assert held(worker) == [0]
    assert not worker.clock_agrees
    world.truth.offsets = (500, 500, 500)
    await world.time.advance(10)
    assert held(worker) == [SHARDS]


async def test_lease_L11_alone_a_worker_reads_everything(world: World) -> None:
    worker = await world.start()
    assert held(worker) == [SHARDS]
    assert value(worker.metrics, "rookery_outbox_shards", state="owned") == SHARDS
    assert value(worker.metrics, "rookery_outbox_shards", state="unowned") == 0


async def test_lease_L11_newcomers_get_their_share(world: World) -> None:
    one = await world.start("a")
    two = await world.start("b")
    await world.time.advance(10)
    assert held(one, two) == [2, 2]
    three = await world.start("c")
    four = await world.start("d")
    await world.time.advance(20)
    assert held(one, two, three, four) == [1, 1, 1, 1]
    assert one.shards | two.shards | three.shards | four.shards == set(range(SHARDS))


async def test_lease_L11_what_was_taken_over_lately_stays_when_a_replacement_joins(world: World) -> None:
    one, two = await world.start("a"), await world.start("b")
    await world.time.advance(10)
    own = one.shards
    await world.kill(two)
    while len(one.shards) < SHARDS:
        await world.time.advance(1)
    three = await world.start("c")
    await world.time.advance(10)
    assert held(one, three) == [2, 2]
    assert three.shards == own, "a shard that was just taken over would have to be recovered from its start again"


async def test_lease_L11_more_workers_than_shards_wait_their_turn(world: World) -> None:
    workers = [await world.start(owner) for owner in "abcde"]
    await world.time.advance(20)
    assert sorted(held(*workers)) == [0, 1, 1, 1, 1]
    busy = next(worker for worker in workers if worker.shards)
    await world.kill(busy)
    await world.time.advance(30)
    assert sum(held(*workers)) == SHARDS


async def test_lease_L12_a_drained_workers_shards_are_taken_at_the_next_look(world: World) -> None:
    one, two = await world.start("a"), await world.start("b")
    await world.time.advance(10)
    await one.drain()
    await world.time.advance(3.1)
    assert held(one, two) == [0, SHARDS]
    assert transitions(one, "lost") == 0


async def test_lease_L12_a_hand_over_under_load_loses_and_doubles_nothing(world: World) -> None:
    for follower in (1, 2, 3):
        world.follow(follower, AUTHOR)
        world.cache.build(follower)
    await world.start("a")
    tweets = []
    for n in range(30):
        if n in (5, 15):
            await world.start(f"newcomer {n}")
        tweets.append(world.post(AUTHOR))
        await world.time.advance(0.7)
    await world.time.advance(10)
    for follower in (1, 2, 3):
        assert world.cache.home(follower) == tweets[::-1]
    assert world.claim(AUTHOR) > ids.time_ms(tweets[-1]) - 1


async def test_lease_L13_in_doubt_nothing_is_polled_and_a_later_renewal_ends_the_doubt(world: World) -> None:
    worker = await world.start()
    silent = True

    async def hook(what: str) -> None:
        if what == "renew_lease" and silent:
            raise StoreUnavailable

    world.truth.hook = hook
    await world.time.advance(11)
    world.truth.reads.clear()
    await world.time.advance(5)
    assert world.truth.reads == []
    assert held(worker) == [SHARDS], "nobody has taken them"
    silent = False
    await world.time.advance(4)
    assert world.truth.reads != []
    assert transitions(worker, "lost") == 0


async def test_lease_L13_a_worker_that_slept_finds_its_shards_taken(world: World) -> None:
    sleeper = world.worker("a")
    await sleeper.check_clock()
    await sleeper.keep_leases()
    assert held(sleeper) == [SHARDS]
    successor = await world.start("b")
    await world.time.advance(15)
    assert held(successor) == [SHARDS]
    world.truth.reads.clear()
    before = world.marks(AUTHOR)
    await sleeper.poll()
    assert world.marks(AUTHOR) == before
    await sleeper.keep_leases()
    assert transitions(sleeper, "lost") == SHARDS


async def test_a_store_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    world.truth.down = True
    worker = await world.start()
    assert held(worker) == [0]
    world.truth.down = False
    await world.time.advance(10)
    assert held(worker) == [SHARDS]


async def test_progress_that_cannot_be_loaded_is_loaded_later(world: World) -> None:
    failing = True

    async def hook(what: str) -> None:
        if what == "load_progress" and failing:
            raise StoreUnavailable

    world.truth.hook = hook
    worker = await world.start()
    assert held(worker) == [0]
    failing = False
    await world.time.advance(2)
    assert held(worker) == [SHARDS]
