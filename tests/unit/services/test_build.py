"""Building lists: rules B1 to B8 of docs/protocols/build.md."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.domain.errors import CapReached
from rookery_server.domain.limits import (
    AUTHOR_KEPT,
    BUILD_STORE_WITHIN_S,
    BUILDS_PER_PROCESS,
    MERGES_PER_PROCESS,
    PAGE_DEFAULT,
)
from rookery_server.services import skeleton
from rookery_server.services.pages import PageSource
from rookery_server.store.interface import UserTweetIds
from tests.unit.services.people import pair, posts_of
from tests.unit.services.world import World


async def test_build_B1_what_is_delivered_meanwhile_is_in_the_list(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    late: list[int] = []

    async def post_and_deliver() -> None:
        late.append(await world.post(bob))
        await world.work()

    # After the author lists were gathered, before the list is finished.
    world.cache.before["finish_home"] = post_and_deliver
    first = await world.page(alice)
    assert late[0] not in first.tweet_ids
    second = await world.page(alice)
    assert second.info.source is PageSource.LIST
    assert list(second.tweet_ids) == world.truth(alice)


async def test_build_B1_the_token_stands_before_anything_is_read(world: World) -> None:
    alice, _ = await pair(world)
    world.cache.calls.clear()
    world.store.calls.clear()

    def check() -> None:
        assert any(id_ < 0 for id_ in world.cache.homes[alice])

    world.store.before["following"] = check
    world.cache.before["read_authors"] = check
    await world.page(alice)
    assert "following" in world.store.calls
    assert "read_authors" in world.cache.calls


async def test_build_B2_anothers_token_is_respected(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    world.cache.homes[alice] = [-1]
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[::-1]
    assert page.info.source is PageSource.BUILD
    assert world.cache.homes[alice] == [-1]


async def test_build_B3_an_unfollow_during_a_build_is_not_undone_by_it(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)

    async def unfollow() -> None:
        assert (await world.unfollow(alice, bob)).settled

    world.store.after["following"] = unfollow  # read before, stored after
    await world.page(alice)
    assert alice not in world.cache.homes
    assert (await world.page(alice)).tweet_ids == ()


async def test_build_B4_missing_author_lists_are_stored_for_the_next_build(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    assert world.cache.authors[bob] == [*posts[::-1], 0]
    assert world.cache.authors[alice] == [0]
    carol = world.user()
    await world.follow(carol, bob)
    await world.page(carol)
    world.store.calls.clear()
    world.cache.homes.clear()
    assert list((await world.page(carol)).tweet_ids) == posts[::-1]
    assert "user_tweet_ids" not in world.store.calls


async def test_build_B4_a_post_during_the_load_of_an_author_list_is_in_it(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    late: list[int] = []

    async def post_and_deliver() -> None:
        late.append(await world.post(bob))
        await world.work()

    world.cache.before["finish_author"] = post_and_deliver
    await world.page(alice)
    assert world.cache.authors[bob][0] == late[0]
    assert world.cache.authors[bob].count(late[0]) == 1


async def test_build_B5_nothing_below_the_floor_is_kept(world: World) -> None:
    alice, bob = await pair(world)
    carol = world.user()
    await world.follow(alice, carol)
    quiet = world.seed_tweet(carol, world.clock.now_ms() - 30 * 86_400_000)
    await posts_of(world, bob, AUTHOR_KEPT + 50, apart_ms=60_000)
    await world.page(alice)
    assert 0 not in world.cache.homes[alice]
    assert quiet not in world.cache.homes[alice]
    assert await world.scroll(alice, 50) == world.truth(alice)


async def test_build_B5_a_whole_history_ends_with_the_mark(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    assert world.cache.homes[alice] == [*posts[::-1], 0]
    page = await world.page(alice)
    assert page.info.end_of_history
    assert page.next_cursor is None


async def test_build_B6_too_slow_is_served_and_not_stored(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    world.cache.before["read_authors"] = lambda: world.clock.advance(int(BUILD_STORE_WITHIN_S * 1000) + 1)
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[::-1]
    assert world.cache.homes[alice][0] < 0  # its own token, which ends by itself


async def test_build_B6_another_connection_stores_nothing(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)

    def reconnect() -> None:
        world.cache.generations[world.cache.node_of(alice)] += 1

    world.cache.before["finish_home"] = reconnect
    assert list((await world.page(alice)).tweet_ids) == posts[::-1]
    assert posts[0] not in world.cache.homes[alice]


async def test_build_B6_lists_of_a_node_that_proves_nothing_are_not_built_upon(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)  # now the author lists are cached
    world.cache.homes.clear()
    world.cache.built_under.clear()
    world.cache.marks[world.cache.node_of(bob)] = None
    page = await world.page(alice)
    assert list(page.tweet_ids) == world.truth(alice)
    assert alice not in world.cache.built_under


async def test_build_B7_one_build_for_all_who_ask_at_once(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    world.cache.calls.clear()
    pages = await asyncio.gather(*(world.page(alice) for _ in range(50)))
    assert {page.tweet_ids for page in pages} == {tuple(posts[::-1])}
    assert world.cache.calls.count("begin_home") == 1


async def test_build_B7_above_the_caps_pages_are_merged_then_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skeleton, "SLOT_WAIT_S", 0.01)
    monkeypatch.setattr("rookery_server.services.builds.SLOT_WAIT_S", 0.01)
    world.serve()
    await world.claims.refresh()
    gate = asyncio.Event()
    readers = [world.user() for _ in range(BUILDS_PER_PROCESS + MERGES_PER_PROCESS + 5)]
    user_tweet_ids = world.store.user_tweet_ids

    async def slow(user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        await gate.wait()
        return await user_tweet_ids(user_id, before_id, limit)

    monkeypatch.setattr(world.cache, "read_authors", _no_lists)
    monkeypatch.setattr(world.store, "user_tweet_ids", slow)
    tasks = [asyncio.create_task(world.page(reader)) for reader in readers]
    refused, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert all(isinstance(task.exception(), CapReached) for task in refused)
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, CapReached) for result in results) == 5
    sources = [result.info.source for result in results if not isinstance(result, BaseException)]
    assert sources.count(PageSource.BUILD) == BUILDS_PER_PROCESS
    assert sources.count(PageSource.MERGE) == MERGES_PER_PROCESS


async def _no_lists(author_ids: object, depth: int) -> dict[int, object]:
    return {}


async def test_build_B8_the_first_page_comes_in_the_same_call(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 40)
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[: -PAGE_DEFAULT - 1 : -1]
    assert page.info.source is PageSource.BUILD
