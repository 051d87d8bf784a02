"""What the memory cache can be made to do wrong: links, failovers, late commands."""

from __future__ import annotations

import pytest

from rookery_server.cache.memory import CacheHooks, MemoryCacheWorld, Node
from rookery_server.domain import ids
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import BODY_LIFE_S, BUILD_TOKEN_LIFE_S, DELETED_LIFE_S, LIST_LIFE_S
from tests.support.hand_clock import START_MS, HandClock

TWEET = ids.compose(START_MS, 1, 0)
USER = 7


class Planned(CacheHooks):
    """The next command fails before it runs, or after."""

    def __init__(self) -> None:
        self.fails = ""

    async def before(self, operation: str, node: str) -> None:
        self._fail("before")

    async def after(self, operation: str, node: str) -> None:
        self._fail("after")

    def _fail(self, where: str) -> None:
        if self.fails == where:
            self.fails = ""
            raise CacheUnavailable


@pytest.fixture
def clock() -> HandClock:
    return HandClock(mono=0.0)


@pytest.fixture
def world(clock: HandClock) -> MemoryCacheWorld:
    world = MemoryCacheWorld(clock, replicated=True)
    world.adopt()
    return world


@pytest.fixture
async def node(world: MemoryCacheWorld) -> Node:
    """The one that has the user's list, which stands."""
    cache = world.client()
    link = await cache.begin_home(USER, -1)
    assert link is not None
    assert await cache.finish_home(USER, -1, [], True, 1, link, 0)
    return world.node_of(USER)


async def home(world: MemoryCacheWorld) -> tuple[int, ...]:
    return (await world.client().read_home(USER, 0, 100)).ids


async def test_every_break_ends_the_link_and_the_next_is_higher(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    first = (await cache.open_links())[node.name]
    node.break_connections()
    assert not cache.is_current(first)
    second = (await cache.open_links())[node.name]
    assert second.generation > first.generation
    assert (await cache.deliver(TWEET, [USER], {node.name: first}, False)).behind == {node.name}
    assert await home(world) == ()


@pytest.mark.parametrize(("where", "done"), [("before", False), ("after", True)])
async def test_a_failed_command_ends_the_link(world: MemoryCacheWorld, node: Node, where: str, done: bool) -> None:
    hooks = Planned()
    cache = world.client(hooks=hooks)
    links = await cache.open_links()
    hooks.fails = where
    assert (await cache.deliver(TWEET, [USER], links, False)).behind == {node.name}
    assert not cache.is_current(links[node.name])
    assert await home(world) == ((TWEET,) if done else ())


async def test_a_failover_loses_what_the_replica_did_not_have(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    links = await cache.open_links()
    await cache.deliver(TWEET, [USER], links, False)
    node.replicating = False
    await cache.deliver(TWEET + 1, [USER], links, False)
    assert await home(world) == (TWEET + 1, TWEET)
    assert not await cache.stub_relations(USER, 5), "the replica did not confirm"
    node.fail_over()
    assert await home(world) == (TWEET,)
    assert not cache.is_current(links[node.name])


async def test_a_replica_that_caught_up_loses_nothing(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    node.replicating = False
    await cache.deliver(TWEET, [USER], await cache.open_links(), False)
    node.replicate()
    assert await cache.mark_deleted(1)
    node.fail_over()
    assert await home(world) == (TWEET,)


async def test_a_node_without_replica_cannot_fail_over(clock: HandClock) -> None:
    world = MemoryCacheWorld(clock)
    with pytest.raises(ValueError, match="no replica"):
        world.node_of(USER).fail_over()


async def test_a_killed_node_answers_nobody_until_it_is_back_empty(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    node.kill()
    with pytest.raises(CacheUnavailable):
        await cache.read_home(USER, 0, 10)
    assert node.name not in await cache.open_links()
    assert (await cache.read_marks())[node.name] is None
    node.restart_empty()
    assert not (await cache.read_home(USER, 0, 10)).exists


async def test_what_a_stopped_node_got_may_run_later(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    links = await cache.open_links()
    node.stop()
    assert (await cache.deliver(TWEET, [USER], links, False)).behind == {node.name}
    node.resume()
    assert await home(world) == ()
    node.run_backlog()
    assert await home(world) == (TWEET,)


async def test_who_comes_back_kills_what_it_sent_before(world: MemoryCacheWorld, node: Node) -> None:
    cache = world.client()
    links = await cache.open_links()
    node.stop()
    await cache.deliver(TWEET, [USER], links, False)
    node.resume()
    await cache.open_links()
    node.run_backlog()
    assert await home(world) == ()


async def test_lives_run_by_the_engines_clock(world: MemoryCacheWorld, node: Node, clock: HandClock) -> None:
    cache = world.client()
    await cache.open_links()
    await cache.fill_bodies({1: b"body"}, cache.fill_mark())
    assert await cache.mark_deleted(2)
    clock.advance(DELETED_LIFE_S - 1)
    assert await cache.get_bodies([1, 2]) == {1: b"body", 2: b""}
    clock.advance(1)
    assert await cache.get_bodies([1, 2]) == {1: b"body"}
    clock.advance(BODY_LIFE_S - clock.mono)
    assert await cache.get_bodies([1]) == {}
    clock.advance(LIST_LIFE_S - clock.mono)
    assert not (await cache.read_home(USER, 0, 1)).exists


async def test_a_read_gives_an_old_list_a_new_life(world: MemoryCacheWorld, node: Node, clock: HandClock) -> None:
    cache = world.client()
    clock.advance(LIST_LIFE_S - 1 - clock.mono)
    assert (await cache.read_home(USER, 0, 1)).exists
    clock.advance(2 * LIST_LIFE_S - 2 - clock.mono)
    assert (await cache.read_home(USER, 0, 1)).built_under == 1


async def test_a_dead_builders_token_runs_out(world: MemoryCacheWorld, clock: HandClock) -> None:
    cache = world.client()
    assert USER in await cache.begin_authors([USER], -1)
    clock.advance(BUILD_TOKEN_LIFE_S - 0.1)
    assert await cache.begin_authors([USER], -2) == {}
    clock.advance(0.1)
    assert USER in await cache.begin_authors([USER], -2)


async def test_processes_share_the_world_and_nothing_else(world: MemoryCacheWorld, node: Node) -> None:
    one, other = world.client(), world.client()
    link = (await one.open_links())[node.name]
    await other.open_links()
    await one.close()
    assert not one.is_current(link)
    assert (await other.read_home(USER, 0, 1)).exists
