"""A viewer's relations out of all their rows, and who looks on paths without a list."""

from __future__ import annotations

from typing import cast

import pytest

from rookery_server.cache.interface import Cache
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.limits import BLOCKERS_CARRIED
from rookery_server.domain.models import Block, Edge, Mute, Relations
from rookery_server.domain.rules import Viewer
from rookery_server.services.loading import Loading
from rookery_server.services.relations import load_relations, relations_of
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tokens import block_token, edge_token, mute_token, speaks_of_relations, tweet_token
from rookery_server.services.viewers import Viewers
from rookery_server.store.interface import Store
from tests.unit.services.world import World

ME = 7


def test_relations_are_made_of_every_row() -> None:
    relations = relations_of(
        [Edge(ME, 1, True, 10), Edge(ME, 2, False, 11), Edge(ME, 3, True, 12)],
        [Block(ME, 4, True, 5), Block(ME, 5, False, 6)],
        [Block(8, ME, True, 7), Block(9, ME, False, 8)],
        [Mute(ME, 1, True, 1), Mute(ME, 6, True, 2, 500), Mute(ME, 7, True, 3, 501), Mute(ME, 8, False, 4)],
        merged={3, 99},
        now_ms=500,
    )
    assert relations == Relations(
        version=12,
        unfollowed=frozenset({2}),
        blocked=frozenset({4}),
        muted={1: 0, 7: 501},
        pull=frozenset({3}),
        blocked_by=frozenset({8}),
    )


@pytest.mark.parametrize("at", range(4))
def test_the_version_is_the_highest_of_any_row_removed_ones_included(at: int) -> None:
    versions = [20 if at == place else 10 for place in range(4)]
    rows = relations_of(
        [Edge(ME, 1, False, versions[0])],
        [Block(ME, 1, False, versions[1])],
        [Block(1, ME, False, versions[2])],
        [Mute(ME, 1, False, versions[3])],
    )
    assert rows.version == 20


@pytest.mark.parametrize(("more", "carried"), [(0, True), (1, False)])
async def test_blockers_are_carried_up_to_the_limit(world: World, more: int, carried: bool) -> None:
    alice = world.user()
    blockers = {id_: Block(id_, alice, True, id_) for id_ in range(1, BLOCKERS_CARRIED + 1 + more)}
    world.store.blockers_of[alice] = blockers
    relations, edges = await load_relations(cast(Store, world.store), (), alice, 0)
    assert edges == ()
    assert relations.blocked_by == (frozenset(blockers) if carried else None)


def viewers(world: World) -> Viewers:
    store, cache = cast(Store, world.store), cast(Cache, world.cache)
    return Viewers(cache, Loading(store, cache, world.clock, TierDirectory(store, world.clock)))


async def test_removal_R2_a_viewer_is_loaded_once_and_kept(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await world.follow(alice, bob)
    await world.graph.block(world.call(alice), carol)
    world.store.author_tiers[bob] = AuthorTier(bob, True, 0)
    looking = viewers(world)
    first = await looking.of(alice)
    assert first.relations.blocked == {carol}
    assert first.relations.pull == {bob}
    assert first.following == {bob}
    assert world.cache.relations[alice][1] == first.relations
    world.store.calls.clear()
    assert await looking.of(alice) == Viewer(alice, first.relations)
    assert not world.store.calls


async def test_removal_R2_a_viewer_loaded_late_is_not_kept_over_a_stub(world: World) -> None:
    alice, bob = world.user(), world.user()

    async def block() -> None:
        await world.graph.block(world.call(bob), alice)

    world.store.after["following"] = block
    await viewers(world).of(alice)
    assert world.cache.relations[alice][1] is None
    assert (await viewers(world).of(alice)).relations.blocked_by == frozenset({bob})


async def test_nobody_in_particular_has_no_relations_and_costs_nothing(world: World) -> None:
    world.store.calls.clear()
    assert await viewers(world).of(0) == Viewer(0)
    assert not world.store.calls


async def test_without_the_cache_the_truth_is_read(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.graph.block(world.call(alice), bob)
    world.cache.down.update(world.cache.nodes)
    assert (await viewers(world).of(alice)).relations.blocked == {bob}


async def test_relations_made_without_knowing_who_is_merged_are_not_kept(world: World) -> None:
    def unknown() -> None:
        raise StoreUnavailable

    alice = world.user()
    world.store.before["tiers"] = unknown
    assert (await viewers(world).of(alice)).relations == Relations(0)
    assert alice not in world.cache.relations


async def test_a_token_of_ones_relations_has_them_read_anew(world: World) -> None:
    alice, bob = world.user(), world.user()
    await viewers(world).of(alice)
    world.cache.down.update(world.cache.nodes)
    token = (await world.graph.block(world.call(bob), alice)).token
    world.cache.down.clear()
    assert (await viewers(world).of(alice)).relations.blocked_by == frozenset()  # not settled: the old copy stands
    assert (await viewers(world).of(alice, token)).relations.blocked_by == frozenset({bob})
    assert (await viewers(world).of(alice)).relations.blocked_by == frozenset({bob})


def test_which_tokens_speak_of_whose_relations() -> None:
    one, other = 1, 2
    assert [speaks_of_relations(block_token(one, other, 0), id_) for id_ in (1, 2, 3)] == [True, True, False]
    for token in (edge_token(one, other, 0), mute_token(one, other, 0)):
        assert [speaks_of_relations(token, id_) for id_ in (1, 2, 3)] == [True, False, False]
    assert not speaks_of_relations(tweet_token(one, other, 0), one)
    assert not speaks_of_relations(None, one)
