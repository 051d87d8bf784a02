"""What the memory cache does when things go wrong: the faults that simulations put in.

What it answers when nothing goes wrong is held by tests/conformance/cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rookery_server.cache.interface import Cache, Delivered, Marks
from rookery_server.cache.memory import CacheHooks, MemoryCacheWorld, Node, Refused
from rookery_server.domain import ids, limits
from rookery_server.domain.errors import CacheUnavailable, Outcome
from tests.support.hand_clock import START_MS, HandClock

USER = 42
FRESH = ids.compose(START_MS, 1, 0)


class Faults(CacheHooks):
    """Runs what a test puts under "before deliver", "after advance" and so on, once."""

    def __init__(self) -> None:
        self.planned: dict[str, Callable[[], Awaitable[None]]] = {}
        self.deaf = False

    async def before(self, operation: str, node: str) -> None:
        await self._take(f"before {operation}")

    async def after(self, operation: str, node: str) -> None:
        await self._take(f"after {operation}")

    async def _take(self, step: str) -> None:
        planned = self.planned.pop(step, None)
        if planned is not None:
            await planned()

    def rings(self) -> bool:
        return not self.deaf


async def refuse() -> None:
    raise CacheUnavailable(outcome=Outcome.UNKNOWN)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(mono=0.0)


@pytest.fixture
def world(clock: HandClock) -> MemoryCacheWorld:
    world = MemoryCacheWorld(clock, replicated=True)
    world.adopt()
    return world


@pytest.fixture
def node(world: MemoryCacheWorld) -> Node:
    return world.node_of(USER)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def cache(world: MemoryCacheWorld, faults: Faults) -> Cache:
    return world.client(hooks=faults)


async def build(cache: Cache, *newest_first: int) -> None:
    link = await cache.begin_home(USER, -1)
    assert link is not None
    assert await cache.finish_home(USER, -1, newest_first, True, 1, link, 0)


async def home(cache: Cache) -> tuple[int, ...] | None:
    read = await cache.read_home(USER, 0, 100)
    return read.ids if read.exists else None


# --- replicas ---------------------------------------------------------------------------------------------------------


async def test_a_failover_of_a_replica_in_step_loses_nothing_but_the_links(cache: Cache, node: Node) -> None:
    await build(cache, FRESH)
    link = (await cache.open_links())[node.name]
    node.fail_over()
    assert not cache.is_current(link)
    assert await home(cache) == (FRESH,)
    assert (await cache.open_links())[node.name].generation > link.generation


async def test_a_failover_keeps_a_prefix(cache: Cache, node: Node) -> None:
    await build(cache)
    node.replicating = False
    for at in range(5):
        await cache.deliver(FRESH + at, [USER], await cache.open_links(), False)
    node.fail_over(lost=2)
    assert await home(cache) == (FRESH + 2, FRESH + 1, FRESH)
    node.replicating = False
    await cache.deliver(FRESH + 9, [USER], await cache.open_links(), False)
    node.fail_over()
    assert await home(cache) == (FRESH + 2, FRESH + 1, FRESH)


async def test_what_loses_pushes_loses_the_mark_behind_them(cache: Cache, node: Node) -> None:
    link = (await cache.open_links())[node.name]
    await build(cache)
    assert await cache.advance(link, {1: (None, 5)}) == {1: True}
    for lost in range(4):
        node.replicate()
        node.replicating = False
        links = await cache.open_links()
        before = (await cache.read_node_marks(links[node.name])).marks[1]
        await cache.deliver(FRESH + 2 * lost, [USER], links, True)
        await cache.deliver(FRESH + 2 * lost + 1, [USER], links, True)
        await cache.advance(links[node.name], {1: (before, before + 1)})
        node.fail_over(lost)
        found = (await cache.read_marks())[node.name]
        assert found is not None
        assert (found.marks[1] == before + 1) == (lost == 0)
        both = {FRESH + 2 * lost, FRESH + 2 * lost + 1} <= set(await home(cache) or ())
        assert both == (lost < 2)


async def test_a_script_is_replicated_whole(cache: Cache, node: Node) -> None:
    await build(cache, FRESH)
    node.replicating = False
    assert not await cache.stub_relations(USER, 7)  # no replica confirmed it
    node.fail_over(lost=1)
    read = await cache.read_home(USER, 0, 1)
    assert (read.ids, read.built_under, read.relations.version) == ((FRESH,), 1, 0)


async def test_only_what_replicas_confirmed_is_settled(cache: Cache, node: Node) -> None:
    assert await cache.mark_deleted(USER)
    node.replicating = False
    assert not await cache.mark_deleted(USER)
    assert await cache.get_bodies([USER]) == {USER: b""}
    node.replicate()
    assert await cache.mark_deleted(USER)


async def test_without_replicas_there_is_no_failover(clock: HandClock) -> None:
    node = MemoryCacheWorld(clock).node_of(USER)
    with pytest.raises(ValueError, match="no replica"):
        node.fail_over()


# --- nodes ------------------------------------------------------------------------------------------------------------


async def test_a_node_restarts_empty(cache: Cache, node: Node) -> None:
    link = (await cache.open_links())[node.name]
    await build(cache, FRESH)
    node.restart_empty()
    assert not cache.is_current(link)
    assert await home(cache) is None
    again = (await cache.open_links())[node.name]
    assert await cache.read_node_marks(again) == Marks(again, known=False)


async def test_a_dead_node_answers_nobody_and_the_others_do(world: MemoryCacheWorld, cache: Cache, node: Node) -> None:
    links = await cache.open_links()
    node.kill()
    assert not cache.is_current(links[node.name])
    assert set(await cache.open_links()) == cache.nodes() - {node.name}
    assert (await cache.read_marks())[node.name] is None
    with pytest.raises(CacheUnavailable):
        await cache.read_home(USER, 0, 1)
    elsewhere = next(number for number in range(100) if world.node_of(number) is not node)
    assert set(await cache.read_authors([USER, elsewhere], 8)) == {elsewhere}
    assert not await cache.mark_deleted(USER)
    with pytest.raises(CacheUnavailable):
        await cache.place_own(USER, FRESH)
    node.fail_over()
    assert set(await cache.open_links()) == cache.nodes()


async def test_a_stopped_node_ends_the_link_that_is_used(cache: Cache, node: Node) -> None:
    await build(cache)
    links = await cache.open_links()
    node.stop()
    assert cache.is_current(links[node.name])
    with pytest.raises(CacheUnavailable) as raised:
        await cache.read_node_marks(links[node.name])
    assert raised.value.outcome is Outcome.UNKNOWN
    assert not cache.is_current(links[node.name])
    assert node.name not in await cache.open_links()


@pytest.mark.parametrize("late", [True, False])
async def test_what_reached_a_stopped_node_may_run_late(cache: Cache, node: Node, late: bool) -> None:
    await build(cache)
    links = await cache.open_links()
    node.stop()
    delivered = await cache.deliver(FRESH, [USER], links, True)
    assert delivered == Delivered(behind=frozenset({node.name}))
    node.resume()
    if late:
        node.run_backlog()
    # The next link kills its predecessor: from then on nothing sent earlier runs.
    assert await home(cache) == ((FRESH,) if late else ())
    node.run_backlog()
    assert await home(cache) == ((FRESH,) if late else ())


async def test_a_late_removal_runs_no_later_than_the_next_one(cache: Cache, node: Node) -> None:
    node.stop()
    assert not await cache.stub_relations(USER, 7)
    node.resume()
    assert await cache.mark_deleted(USER)
    await build(cache, FRESH)
    node.run_backlog()
    assert await home(cache) == (FRESH,)


# --- hooks ------------------------------------------------------------------------------------------------------------


async def test_what_fails_before_never_runs(cache: Cache, node: Node, faults: Faults) -> None:
    await build(cache)
    links = await cache.open_links()
    faults.planned["before deliver"] = refuse
    assert (await cache.deliver(FRESH, [USER], links, False)).behind == {node.name}
    assert not cache.is_current(links[node.name])
    assert await home(cache) == ()


async def test_what_fails_after_has_run_and_nobody_knows(cache: Cache, node: Node, faults: Faults) -> None:
    await build(cache)
    links = await cache.open_links()
    faults.planned["after advance"] = refuse
    with pytest.raises(CacheUnavailable):
        await cache.advance(links[node.name], {1: (None, 5)})
    assert not cache.is_current(links[node.name])
    found = (await cache.read_marks())[node.name]
    assert found is not None
    assert found.marks == {1: 5}


async def test_a_slow_command_keeps_those_behind_it_in_order(cache: Cache, faults: Faults) -> None:
    await build(cache)
    links, gate = await cache.open_links(), asyncio.Event()
    faults.planned["before deliver"] = lambda: wait(gate)
    first = asyncio.create_task(cache.deliver(FRESH, [USER], links, False))
    second = asyncio.create_task(cache.deliver(FRESH + 1, [USER], links, False))
    await spin()
    assert not second.done()
    gate.set()
    assert [(await task).pushed for task in (first, second)] == [1, 1]
    assert await home(cache) == (FRESH + 1, FRESH)


async def test_a_command_under_way_dies_with_its_link(cache: Cache, node: Node, faults: Faults) -> None:
    await build(cache)
    links, gate = await cache.open_links(), asyncio.Event()
    faults.planned["before deliver"] = lambda: wait(gate)
    pushing = asyncio.create_task(cache.deliver(FRESH, [USER], links, False))
    await spin()
    node.fail_over()
    assert set(await cache.open_links()) == cache.nodes()
    gate.set()
    assert (await pushing).behind == {node.name}
    assert await home(cache) == ()


async def test_a_reply_is_lost_with_its_link(cache: Cache, node: Node, faults: Faults) -> None:
    await build(cache)
    links, gate = await cache.open_links(), asyncio.Event()
    faults.planned["after deliver"] = lambda: wait(gate)
    pushing = asyncio.create_task(cache.deliver(FRESH, [USER], links, False))
    await spin()
    node.break_connections()
    gate.set()
    assert (await pushing).behind == {node.name}
    assert await home(cache) == (FRESH,)


async def test_a_link_that_breaks_leaves_a_prefix_of_a_page(world: MemoryCacheWorld, node: Node) -> None:
    class Third(CacheHooks):
        left = 3

        async def before(self, operation: str, node: str) -> None:
            if operation == "deliver":
                self.left -= 1
                if self.left == 0:
                    raise CacheUnavailable

    cache = world.client(hooks=Third())
    followers = [number for number in range(100) if world.node_of(number) is node][:5]
    for follower in followers:
        link = await cache.begin_home(follower, -1)
        assert link is not None
        assert await cache.finish_home(follower, -1, [], True, 1, link, 0)
    delivered = await cache.deliver(FRESH, followers, await cache.open_links(), False)
    assert delivered == Delivered(pushed=2, behind=frozenset({node.name}))
    got = [(await cache.read_home(follower, 0, 10)).ids for follower in followers]
    assert got == [(FRESH,), (FRESH,), (), (), ()]


async def test_a_refusal_costs_one_command_and_not_the_link(
    world: MemoryCacheWorld, cache: Cache, node: Node, faults: Faults
) -> None:
    async def refused() -> None:
        raise Refused

    other = next(number for number in range(100) if number != USER and world.node_of(number) is node)
    await build(cache)
    link = await cache.begin_home(other, -1)
    assert link is not None
    assert await cache.finish_home(other, -1, [], True, 1, link, 0)
    faults.planned["before deliver"] = refused
    delivered = await cache.deliver(FRESH, [USER, other], await cache.open_links(), False)
    assert delivered == Delivered(pushed=1, behind=frozenset({node.name}))
    assert cache.is_current(link)
    assert await home(cache) == ()


async def test_a_removal_that_nobody_answered_is_not_settled(cache: Cache, faults: Faults) -> None:
    faults.planned["after mark_deleted"] = refuse
    assert not await cache.mark_deleted(USER)
    assert await cache.get_bodies([USER]) == {USER: b""}
    faults.planned["before stub_relations"] = refuse
    assert not await cache.stub_relations(USER, 7)
    assert (await cache.read_home(USER, 0, 1)).relations.seen is None


# --- time and the bell ------------------------------------------------------------------------------------------------


async def test_lives_run_by_the_engines_clock(world: MemoryCacheWorld, clock: HandClock) -> None:
    ahead = HandClock(mono=0.0)
    ahead.mono = 10 * limits.LIST_LIFE_S
    cache = world.client(ahead)  # whatever a process believes
    await build(cache, FRESH)
    clock.advance(limits.LIST_LIFE_S - 1)
    assert await home(cache) == (FRESH,)  # and has a new life
    clock.advance(limits.LIST_LIFE_S)
    assert await home(cache) is None


async def test_rings_are_lost_when_a_hook_says_so(cache: Cache, faults: Faults) -> None:
    await cache.open_links()
    listening = cache.listen(frozenset({1}))
    heard = asyncio.ensure_future(anext(listening))
    await spin()
    faults.deaf = True
    cache.ring(1, b"lost")
    faults.deaf = False
    cache.ring(1, b"heard")
    assert await heard == (1, b"heard")


@pytest.mark.parametrize("fault", [Node.stop, Node.kill, Node.fail_over, Node.restart_empty])
async def test_listening_ends_with_its_node(
    world: MemoryCacheWorld, cache: Cache, fault: Callable[[Node], None]
) -> None:
    heard = asyncio.ensure_future(anext(cache.listen(frozenset({1})), None))
    await spin()
    fault(world.node_of(1))
    assert await heard is None


async def test_a_listener_that_misses_a_node_ends_when_it_is_back(world: MemoryCacheWorld, cache: Cache) -> None:
    await cache.open_links()
    here = world.node_of(1)
    elsewhere = next(shard for shard in range(100) if world.node_of(shard) is not here)
    here.stop()
    listening = cache.listen(frozenset({1, elsewhere}))
    heard = asyncio.ensure_future(anext(listening))
    await spin()
    cache.ring(elsewhere, b"the others are heard")
    assert await heard == (elsewhere, b"the others are heard")
    here.resume()
    assert await anext(listening, None) is None


async def test_nobody_listens_where_no_node_answers(world: MemoryCacheWorld, cache: Cache) -> None:
    world.node_of(1).kill()
    with pytest.raises(CacheUnavailable):
        await anext(cache.listen(frozenset({1})))


async def test_closing_ends_what_listens(cache: Cache) -> None:
    heard = asyncio.ensure_future(anext(cache.listen(frozenset({1})), None))
    await spin()
    await cache.close()
    assert await heard is None


async def wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def spin() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
