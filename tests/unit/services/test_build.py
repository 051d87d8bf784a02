"""Building lists: rules B1 to B8 of docs/protocols/build.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from rookery_server.domain.errors import CapReached, StoreUnavailable
from rookery_server.domain.limits import (
    AUTHOR_KEPT,
    AUTHORS_A_WAVE,
    BUILD_STORE_WITHIN_S,
    BUILD_TOKEN_LIFE_S,
    BUILDS_PER_PROCESS,
    MERGES_PER_PROCESS,
    PAGE_DEFAULT,
)
from rookery_server.services import skeleton
from rookery_server.services.pages import PageSource, TimelinePage
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

    world.cache.before["finish_authors"] = post_and_deliver
    await world.page(alice)
    assert world.cache.authors[bob][0] == late[0]
    assert world.cache.authors[bob].count(late[0]) == 1


async def test_build_B4_a_wave_is_three_trips(world: World) -> None:
    alice, _ = await many(world, 2 * AUTHORS_A_WAVE + 5)
    world.cache.calls.clear()
    world.store.calls.clear()
    assert list((await world.page(alice)).tweet_ids) == world.truth(alice)[:PAGE_DEFAULT]
    assert world.cache.calls.count("begin_authors") == world.cache.calls.count("finish_authors") == 3
    assert world.store.calls.count("tweet_ids_by_user") == 3


async def test_build_B4_the_tokens_of_a_wave_stand_before_its_rows_are_read(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)

    def check() -> None:
        assert world.cache.authors[alice] == world.cache.authors[bob]
        assert world.cache.authors[bob][0] < 0

    world.store.before["tweet_ids_by_user"] = check
    await world.page(alice)
    assert world.cache.authors[bob][-1] == 0


async def test_build_B4_what_a_slow_build_loaded_is_kept(world: World) -> None:
    """Too slow as a whole, and each wave in time: the next build reads no rows."""
    alice, authors = await many(world, 5 * AUTHORS_A_WAVE)
    tweet_ids_by_user = world.store.tweet_ids_by_user

    async def slow(before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        world.clock.advance(int(BUILD_STORE_WITHIN_S * 400))  # two at a time are in time, five one after the other not
        return await tweet_ids_by_user(before_ids, limit)

    world.store.tweet_ids_by_user = slow  # type: ignore[method-assign]
    assert list((await world.page(alice)).tweet_ids) == world.truth(alice)[:PAGE_DEFAULT]
    assert alice not in world.cache.built_under
    assert all(world.cache.authors[author][-1] == 0 for author in authors)
    world.clock.advance(BUILD_TOKEN_LIFE_S * 1000)
    del world.cache.homes[alice]  # its token has ended
    world.store.calls.clear()
    page = await world.page(alice)
    assert list(page.tweet_ids) == world.truth(alice)[:PAGE_DEFAULT]
    assert "user_tweet_ids" not in world.store.calls
    assert alice in world.cache.built_under


async def test_build_B4_a_wave_that_is_late_takes_its_tokens_away(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    world.store.before["tweet_ids_by_user"] = lambda: world.clock.advance(int(BUILD_STORE_WITHIN_S * 1000) + 1)
    assert list((await world.page(alice)).tweet_ids) == posts[::-1]
    assert world.cache.authors == {}


async def test_build_B4_a_wave_that_cannot_be_read_takes_its_tokens_away(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)

    def fail() -> None:
        raise StoreUnavailable

    world.store.before["tweet_ids_by_user"] = fail
    with pytest.raises(StoreUnavailable):
        await world.page(alice)
    assert world.cache.authors == {}
    assert list((await world.page(alice)).tweet_ids) == posts[::-1]
    assert world.cache.authors[bob] == [*posts[::-1], 0]


async def test_build_B4_what_was_loaded_beside_a_wave_that_failed_is_kept(world: World) -> None:
    alice, _ = await many(world, 4 * AUTHORS_A_WAVE)
    tweet_ids_by_user, asked, calls = world.store.tweet_ids_by_user, asyncio.Event(), 0

    async def second_fails(before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        nonlocal calls
        calls += 1
        if calls == 2:
            asked.set()
            raise StoreUnavailable
        await asked.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return await tweet_ids_by_user(before_ids, limit)

    world.store.tweet_ids_by_user = second_fails  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await world.page(alice)
    assert calls == 2
    assert len(world.cache.authors) == AUTHORS_A_WAVE
    assert {entries[-1] for entries in world.cache.authors.values()} == {0}


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


@pytest.mark.parametrize("again_before_it_ends", [True, False])
async def test_build_B7_a_build_outlives_its_caller(world: World, again_before_it_ends: bool) -> None:
    """Whoever's deadline was too short asks again, and nothing is read twice for it."""
    alice, _ = await many(world, AUTHORS_A_WAVE + 5)
    gate, asked = asyncio.Event(), asyncio.Event()
    tweet_ids_by_user = world.store.tweet_ids_by_user

    async def slow(before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        asked.set()
        await gate.wait()
        return await tweet_ids_by_user(before_ids, limit)

    world.store.tweet_ids_by_user = slow  # type: ignore[method-assign]
    world.store.calls.clear()
    caller = asyncio.create_task(world.page(alice))
    await asked.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    again = asyncio.create_task(world.page(alice)) if again_before_it_ends else None
    gate.set()
    if again is None:
        while alice not in world.cache.built_under:  # noqa: ASYNC110  (nobody waits for it any more)
            await asyncio.sleep(0)
    page = await (again or world.page(alice))
    assert page.info.source is PageSource.LIST
    assert list(page.tweet_ids) == world.truth(alice)[:PAGE_DEFAULT]
    assert world.store.calls.count("tweet_ids_by_user") == 2
    assert world.store.calls.count("following") == 1


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
    refused: set[asyncio.Task[TimelinePage]] = set()
    while len(refused) < 5:  # each waits for its slot from its own moment on
        done, _ = await asyncio.wait({*tasks} - refused, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
    assert all(isinstance(task.exception(), CapReached) for task in refused)
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, CapReached) for result in results) == 5
    sources = [result.info.source for result in results if not isinstance(result, BaseException)]
    assert sources.count(PageSource.BUILD) == BUILDS_PER_PROCESS
    assert sources.count(PageSource.MERGE) == MERGES_PER_PROCESS


async def many(world: World, followees: int) -> tuple[int, list[int]]:
    """A reader of many authors who posted once each, nothing of theirs cached."""
    reader, authors = world.user(), [world.user() for _ in range(followees)]
    for at, author in enumerate(authors):
        await world.follow(reader, author)
        world.seed_tweet(author, world.clock.now_ms() - 60_000 * (at + 1))
    world.cache.authors.clear()
    return reader, authors


async def _no_lists(author_ids: object, depth: int) -> dict[int, object]:
    return {}


async def test_build_B8_the_first_page_comes_in_the_same_call(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 40)
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[: -PAGE_DEFAULT - 1 : -1]
    assert page.info.source is PageSource.BUILD
