"""Removals as pages show them: docs/protocols/removal.md."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import NotFound
from rookery_server.services.pages import PageSource
from tests.unit.services.people import pair, posts_of
from tests.unit.services.world import World


async def test_removal_R1_a_change_of_edges_takes_the_list_its_meta_and_a_builders_token(world: World) -> None:
    alice, bob = await pair(world)
    await world.page(alice)
    await world.unfollow(alice, bob)
    assert alice not in world.cache.homes
    assert alice not in world.cache.built_under
    world.cache.homes[alice] = [-1]
    await world.follow(alice, bob)
    assert alice not in world.cache.homes
    assert world.cache.relations[alice] == (world.store.edges_of[alice][bob].version_us, None)


async def test_removal_R11_a_server_keeps_no_copies_of_its_own(world: World) -> None:
    alice, bob = await pair(world)
    tweet = await world.post(bob)
    await world.work()
    for _ in range(2):
        assert (await world.page(alice)).tweet_ids == (tweet,)
        assert await world.tweets.get(world.call(alice), tweet)
    # Another server deletes and unfollows: nothing but store and cache tells this one.
    home, tweets = world.home, world.tweets
    world.serve()
    await world.tweets.delete(world.call(bob), tweet)
    with pytest.raises(NotFound):
        await tweets.get(world.call(alice), tweet)
    assert (await home.page(world.call(alice), 20)).tweet_ids == ()


async def test_build_B12_a_page_that_lacks_one_is_not_read_row_by_row(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 40)
    for gone in posts[20:39]:
        await world.tweets.delete(world.call(bob), gone)
    world.cache.down.update(world.cache.nodes)
    world.store.calls.clear()
    page = await world.page(alice, 2)
    assert page.tweet_ids == (posts[39], posts[19])
    assert world.store.calls.count("user_tweet_ids") <= 4  # two authors, two reads each


async def test_removal_R2_a_loader_does_not_store_over_a_later_stub(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    world.cache.relations.pop(alice)

    async def unfollow() -> None:
        await world.unfollow(alice, bob)

    world.store.after["following"] = unfollow
    await world.page(alice)
    assert world.cache.relations[alice][1] is None
    assert (await world.page(alice)).tweet_ids == ()


async def test_removal_R3_a_list_of_another_version_counts_as_missing(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    world.cache.built_under[alice] -= 1
    page = await world.page(alice)
    assert page.info.source is PageSource.BUILD
    assert list(page.tweet_ids) == posts[::-1]


async def test_removal_R9_what_is_delivered_after_an_unfollow_never_shows(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.unfollow(alice, bob)
    await world.page(alice)
    world.cache.place(world.cache.homes, alice, await world.post(bob))
    page = await world.page(alice)
    assert page.info.source is PageSource.LIST
    assert page.tweet_ids == ()
    assert page.info.hidden == 1


async def test_an_unfollow_and_a_follow_bring_history_back(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    await world.unfollow(alice, bob)
    assert (await world.page(alice)).tweet_ids == ()
    await world.follow(alice, bob)
    assert list((await world.page(alice)).tweet_ids) == posts[::-1]
