"""Below the list: rules B18, B19 and B21 of docs/protocols/build.md."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.cache.interface import HistoryRead
from rookery_server.domain.limits import DEGRADED_AFTER_MS, HOME_KEPT, ORDER_SLACK_MS, WATERMARK_LAG_MS
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.authors import GatheredAuthors, gather_below
from rookery_server.services.pages import PageSource
from rookery_server.store.interface import UserTweetIds
from tests.unit.services.people import pair, posts_of
from tests.unit.services.world import World


async def deep(world: World, count: int = 1900) -> tuple[int, int, list[int], PageCursor]:
    """Alice, Bob, Bob's tweets newest first, and where her list ends."""
    alice, bob = await pair(world)
    posts = (await posts_of(world, bob, count, apart_ms=20_000))[::-1]
    await world.page(alice)
    floor = len(world.cache.homes[alice]) - 1
    return alice, bob, posts, PageCursor(posts[floor + ORDER_SLACK_MS // 20_000])


async def test_build_B18_one_merge_for_eight_hundred_tweets(world: World) -> None:
    alice, _, posts, position = await deep(world)
    world.store.calls.clear()
    shown: list[int] = []
    for _ in range(HOME_KEPT // 100):
        page = await world.page(alice, 100, position)
        assert page.info.source is PageSource.HISTORY
        assert page.next_cursor is not None
        shown.extend(page.tweet_ids)
        position = page.next_cursor
    first = posts.index(shown[0])
    assert shown == posts[first : first + HOME_KEPT]
    assert world.store.calls.count("following") == 1
    assert await world.scroll(alice, 100, position) == posts[first + HOME_KEPT :]


async def test_build_B18_pages_of_it_claim_what_the_merge_claimed_and_are_not_degraded_by_age(world: World) -> None:
    alice, _, _, position = await deep(world)
    first = await world.page(alice, 20, position)
    assert first.next_cursor is not None
    world.clock.advance(10 * DEGRADED_AFTER_MS)
    await world.work()
    later = await world.page(alice, 20, first.next_cursor)
    assert later.info.complete_through_ms == first.info.complete_through_ms
    assert not later.info.degraded


async def test_build_B18_changed_relations_make_it_missing(world: World) -> None:
    alice, bob, posts, position = await deep(world)
    first = await world.page(alice, 20, position)
    assert alice in world.cache.histories
    await world.unfollow(alice, bob)
    assert alice not in world.cache.histories
    await world.follow(alice, bob)
    await world.page(alice)
    stale = HistoryRead(posts[0], posts[-1], (), 1, world.clock.now_ms())
    world.cache.histories[alice] = stale  # of relations of long ago
    again = await world.page(alice, 20, position)
    assert again.tweet_ids == first.tweet_ids


async def test_build_B18_relations_that_change_during_the_merge_keep_nothing(world: World) -> None:
    alice, _, _, position = await deep(world)
    carol = world.user()

    async def follow() -> None:
        await world.follow(alice, carol)

    world.cache.before["store_history"] = follow
    await world.page(alice, 20, position)
    assert alice not in world.cache.histories


async def test_build_B18_what_claims_too_little_is_not_kept(world: World) -> None:
    alice, _, _, position = await deep(world)
    world.cache.marks["node-1"] = None
    await world.claims.refresh()
    world.store.before["user_tweet_ids"] = lambda: world.clock.advance(DEGRADED_AFTER_MS)
    page = await world.page(alice, 20, position)
    assert len(page.tweet_ids) == 20
    assert page.info.degraded
    assert alice not in world.cache.histories


async def test_build_B18_a_token_asks_for_a_younger_one(world: World) -> None:
    alice, bob, _, position = await deep(world)
    first = await world.page(alice, 20, position)
    world.clock.advance(WATERMARK_LAG_MS)
    posted = await world.posted(bob)
    world.clock.advance(2 * WATERMARK_LAG_MS)
    await world.work()
    page = await world.page(alice, 20, position, posted.token)
    assert page.tweet_ids == first.tweet_ids
    assert page.info.complete_through_ms >= posted.token.event_ms > first.info.complete_through_ms


async def test_build_B18_without_the_cache_it_is_merged_and_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _, posts, position = await deep(world)
    world.cache.down.add(world.cache.node_of(alice))
    page = await world.page(alice, 20, position)
    assert page.tweet_ids == tuple(posts[posts.index(position.last_id) + 1 :][:20])
    assert page.info.source is PageSource.MERGE
    assert alice not in world.cache.histories


async def test_build_B19_a_merge_goes_on_without_its_caller(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, _, posts, position = await deep(world)
    gate, asked = asyncio.Event(), asyncio.Event()
    user_tweet_ids = world.store.user_tweet_ids

    async def slow(user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        asked.set()
        await gate.wait()
        return await user_tweet_ids(user_id, before_id, limit)

    monkeypatch.setattr(world.store, "user_tweet_ids", slow)
    caller = asyncio.create_task(world.page(alice, 20, position))
    await asked.wait()
    caller.cancel()
    await asyncio.wait([caller])
    again = asyncio.create_task(world.page(alice, 20, position))
    gate.set()
    page = await again
    at = posts.index(position.last_id)
    assert list(page.tweet_ids) == posts[at + 1 : at + 21]
    assert world.store.calls.count("following") == 3  # the follow's own, the build, one merge


async def test_build_B19_a_reader_of_thousands_reads_a_little_of_each(world: World) -> None:
    alice = world.user()
    authors = [world.user() for _ in range(1000)]
    now_ms = world.clock.now_ms()
    for author in authors:
        for at in range(60):
            world.seed_tweet(author, now_ms - 60_000 * at - author % 60_000)
    truth = sorted((id_ for author in authors for id_ in world.store.own_tweets[author]), reverse=True)
    limits: list[int] = []
    user_tweet_ids = world.store.user_tweet_ids

    async def watched(user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        limits.append(limit)
        return await user_tweet_ids(user_id, before_id, limit)

    world.store.user_tweet_ids = watched  # type: ignore[method-assign]
    gathered = GatheredAuthors(
        world.store, world.cache, world.clock, world.mint, world.claims.by_rows_ms(), [*authors, alice]
    )
    part = await gather_below(gathered, None, truth[30_000] + 1, HOME_KEPT, enough=100)
    assert list(part.ids) == [id_ for id_ in truth[30_000:] if id_ >= part.floor]
    assert len(part.ids) >= 100
    assert sum(limits) <= 25 * len(authors)


async def test_build_B21_a_page_that_takes_long_claims_the_least_of_its_marks(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 150)
    for gone in posts[20:]:
        await world.tweets.delete(world.call(bob), gone)
    await world.work()
    await world.page(alice, 20)
    claimed = (await world.page(alice, 1)).info.complete_through_ms
    assert claimed > 0

    def fail_over() -> None:
        """Between the first slice and the next: its marks vouch for less now, and were read long ago."""
        world.clock.advance(2_500)
        for node in world.cache.nodes:
            world.cache.marks[node] = dict.fromkeys(range(world.store.shards), claimed - 7_000)

    world.cache.before["get_bodies"] = fail_over
    page = await world.home.page(world.call(alice, 60.0), 20)
    assert list(page.tweet_ids) == posts[19::-1]
    assert page.info.complete_through_ms == claimed - 7_000
