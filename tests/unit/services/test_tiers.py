"""Every rule of docs/protocols/tier.md, as pages show it."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.fanout import AuthorTier, Crossing
from rookery_server.domain.limits import AUTHOR_KEPT, COPY_LIFE_S, FILL_MAX_AGE_S, WATERMARK_LAG_MS
from rookery_server.services.pages import PageSource
from rookery_server.services.tiers import TierDirectory
from rookery_server.store.interface import Store
from tests.unit.services.people import pair, posts_of
from tests.unit.services.world import World

HOUR_MS = 3_600_000


async def pulled(world: World, posts: int = 3) -> tuple[int, int, list[int]]:
    """Alice follows Bob, who is pull since long ago; her list and relations are cached."""
    alice, bob = await pair(world)
    world.store.author_tiers[bob] = AuthorTier(bob, True, world.clock.now_ms() - HOUR_MS)
    await world.tiers.refresh()
    past = await posts_of(world, bob, posts)
    await world.page(alice)
    assert (await world.page(alice)).info.source is PageSource.LIST
    return alice, bob, past


def _second_passes(world: World) -> None:
    world.clock.advance(round(COPY_LIFE_S * 1000))


async def test_tier_T1_rows_are_known_to_every_server(world: World) -> None:
    alice, bob, _ = await pulled(world)
    assert world.tiers.row(bob) == world.store.author_tiers[bob]
    assert world.tiers.row(alice) is None
    assert world.tiers.merged() == {bob}


async def test_tier_T2_readers_merge_from_the_announcement_on(world: World) -> None:
    alice, bob = await pair(world)
    await world.page(alice)
    world.store.author_tiers[bob] = AuthorTier(bob, True, world.clock.now_ms() + 2 * HOUR_MS)
    await world.tiers.refresh()
    del world.cache.relations[alice]  # an hour later
    await world.page(alice)
    assert world.cache.relations[alice][1] is not None
    assert world.cache.relations[alice][1].pull == {bob}  # type: ignore[union-attr]


async def test_tier_T2_relations_that_took_long_to_load_are_not_kept(world: World) -> None:
    alice, _, _ = await pulled(world)
    del world.cache.relations[alice]
    world.store.before["following"] = lambda: world.clock.advance(round(FILL_MAX_AGE_S * 1000) + 1)
    await world.page(alice)
    assert alice not in world.cache.relations


async def test_tier_T3_what_is_not_delivered_is_merged(world: World) -> None:
    alice, bob, past = await pulled(world)
    tweet = await world.post(bob)
    await world.work()
    assert tweet not in world.cache.homes[alice]
    _second_passes(world)
    page = await world.page(alice)
    assert list(page.tweet_ids) == [tweet, *past[::-1]]
    assert page.info.source is PageSource.LIST
    assert page.info.end_of_history
    world.clock.advance(WATERMARK_LAG_MS)
    await world.work()
    assert (await world.page(alice)).info.complete_through_ms >= ids.time_ms(tweet)


async def test_tier_T4_on_the_way_back_both_are_read_and_nothing_shows_twice(world: World) -> None:
    alice, bob, past = await pulled(world)
    unseen = await world.post(bob)
    await world.work()
    world.store.author_tiers[bob] = AuthorTier(bob, False, world.clock.now_ms() + 8 * 24 * HOUR_MS)
    await world.tiers.refresh()
    delivered = await world.post(bob)
    await world.work()
    assert delivered in world.cache.homes[alice]
    assert unseen not in world.cache.homes[alice]
    _second_passes(world)
    assert await world.scroll(alice) == [delivered, unseen, *past[::-1]]


async def test_tier_T5_a_list_from_before_is_built_anew_before_merging_ends(world: World) -> None:
    alice, bob, past = await pulled(world)
    unseen = await world.post(bob)
    await world.work()
    world.store.author_tiers[bob] = AuthorTier(bob, False, world.clock.now_ms() + 8 * 24 * HOUR_MS)
    await world.tiers.refresh()
    world.clock.advance(8 * 24 * HOUR_MS + 1)
    await world.work()
    await world.tiers.refresh()
    assert world.tiers.merged() == frozenset()
    del world.cache.relations[alice]
    assert unseen not in world.cache.homes[alice]
    page = await world.page(alice)
    assert page.info.source is PageSource.BUILD
    assert list(page.tweet_ids) == [unseen, *past[::-1]]
    assert (await world.page(alice)).info.source is PageSource.LIST


async def test_tier_T6_a_directory_nobody_can_read_claims_nothing(world: World) -> None:
    alice, _, past = await pulled(world)
    world.clock.advance(round(Crossing().directory_max_age_s * 1000) + 1)
    await world.work()
    del world.cache.relations[alice]

    async def away() -> tuple[AuthorTier, ...]:
        raise StoreUnavailable

    readable, world.store.tiers = world.store.tiers, away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        world.tiers.merged()
    page = await world.page(alice)
    assert page.info.complete_through_ms == 0
    assert page.info.degraded
    assert not page.info.stale
    assert alice not in world.cache.relations
    world.store.tiers = readable  # type: ignore[method-assign]
    page = await world.page(alice)
    assert page.info.complete_through_ms > 0
    assert list(page.tweet_ids) == past[::-1]


async def test_tier_T6_an_authors_list_nobody_can_read_claims_nothing(world: World) -> None:
    alice, bob, past = await pulled(world)
    _second_passes(world)
    await world.work()
    world.store.down = True
    del world.cache.authors[bob]
    page = await world.page(alice)
    assert list(page.tweet_ids) == past[::-1]  # those are in the list
    assert page.info.complete_through_ms == 0
    assert page.info.degraded


async def test_tier_T7_a_list_that_goes_deeper_than_the_authors_skips_nothing(world: World) -> None:
    """Between the floor of the author's list and the list's own there are tweets in neither."""
    alice, bob, past = await pulled(world)
    missed = [await world.post(bob)]
    for _ in range(AUTHOR_KEPT + 50):
        world.clock.advance(11_000)
        missed.append(await world.post(bob))
        await world.work()
    del world.cache.authors[bob][AUTHOR_KEPT:]
    _second_passes(world)
    assert missed[0] not in world.cache.authors[bob]
    assert missed[0] not in world.cache.homes[alice]
    assert await world.scroll(alice, 50) == world.truth(alice)
    assert set(missed) <= set(world.truth(alice))
    assert set(past) <= set(world.truth(alice))


async def test_tier_T8_copies_are_a_second_old_and_claim_what_was_known_before(world: World) -> None:
    alice, bob, past = await pulled(world)
    _second_passes(world)
    await world.work()
    claimed = (await world.page(alice)).info.complete_through_ms
    world.cache.calls.clear()
    world.clock.advance(round(COPY_LIFE_S * 1000) - 1)
    tweet = await world.post(bob)
    await world.mark(world.clock.now_ms())
    page = await world.page(alice)
    assert "read_authors" not in world.cache.calls
    assert list(page.tweet_ids) == past[::-1]
    assert page.info.complete_through_ms == claimed
    world.clock.advance(1)
    page = await world.page(alice)
    assert "read_authors" in world.cache.calls
    assert page.tweet_ids[0] == tweet


async def test_tier_T8_a_missing_list_is_loaded_once_for_all(world: World) -> None:
    alice, bob, past = await pulled(world)
    _second_passes(world)
    await world.work()
    del world.cache.authors[bob]
    world.store.calls.clear()
    pages = await asyncio.gather(*(world.page(alice) for _ in range(20)))
    assert {page.tweet_ids for page in pages} == {tuple(past[::-1])}
    assert world.store.calls.count("user_tweet_ids") == 1
    assert world.cache.authors[bob] == [*past[::-1], 0]


async def test_tier_T9_a_token_shows_the_post_of_a_pull_author_at_once(world: World) -> None:
    alice, bob, past = await pulled(world)
    await world.page(alice)
    posted = await world.posted(bob)
    page = await world.page(alice, token=posted.token)
    assert list(page.tweet_ids) == [posted.tweet_id, *past[::-1]]


async def test_the_directory_keeps_what_it_knows_until_it_is_too_old(world: World) -> None:
    _, bob, _ = await pulled(world)
    world.store.down = True
    world.clock.advance(round(Crossing().directory_max_age_s * 1000))
    await world.tiers.refresh()
    assert world.tiers.merged() == {bob}
    world.clock.advance(1)
    with pytest.raises(StoreUnavailable):
        world.tiers.rows()


@pytest.mark.parametrize("pull", [True, False])
async def test_tier_T10_a_change_that_shows_late_is_announced_anew(world: World, pull: bool) -> None:
    """Its write was carried out hours later than it was begun, while everybody read and served."""
    alice, bob = await pair(world)
    if not pull:
        world.store.author_tiers[bob] = AuthorTier(bob, True, world.clock.now_ms() - HOUR_MS)
    await world.tiers.refresh()
    await world.page(alice)
    now_ms, other = world.clock.now_ms(), TierDirectory(cast(Store, world.store), world.clock)
    world.store.author_tiers[bob] = AuthorTier(bob, pull, now_ms - 1)
    await world.tiers.refresh()
    row = world.tiers.row(bob)
    assert row is not None
    assert row == Crossing().announced(bob, pull, now_ms)
    assert row.delivers(now_ms + HOUR_MS), "nobody's relations name the author yet"
    assert world.tiers.merged() == {bob}
    assert world.store.author_tiers[bob] == row, "all others are told"
    await other.refresh()
    await world.tiers.refresh()
    assert other.row(bob) == world.tiers.row(bob) == row, "and the notice counts from now, once"


async def test_tier_T10_what_could_not_be_written_counts_all_the_same(world: World) -> None:
    _, bob = await pair(world)
    await world.tiers.refresh()
    seen_ms = world.clock.now_ms()
    world.store.author_tiers[bob] = late = AuthorTier(bob, True, seen_ms - 1)

    async def away(expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        raise StoreUnavailable

    writable, world.store.set_tier = world.store.set_tier, away  # type: ignore[method-assign]
    anew = Crossing().announced(bob, True, seen_ms)
    for _ in range(3):
        await world.tiers.refresh()
        assert world.tiers.row(bob) == anew
        world.clock.advance(5_000)
    assert world.store.author_tiers[bob] == late
    world.store.set_tier = writable  # type: ignore[method-assign]
    await world.tiers.refresh()
    assert world.store.author_tiers[bob] == anew


async def test_tier_T10_what_a_process_finds_when_it_begins_is_as_it_says(world: World) -> None:
    alice, bob = await pair(world)
    rows = [AuthorTier(alice, False, 1), AuthorTier(bob, True, 1)]
    world.store.author_tiers.update({row.author_id: row for row in rows})
    await world.tiers.refresh()
    await world.tiers.refresh()
    assert [world.tiers.row(row.author_id) for row in rows] == rows
    assert list(world.store.author_tiers.values()) == rows


def test_tier_T10_an_announcement_in_time_is_seen_to_be() -> None:
    crossing, now_ms = Crossing(), 10**12
    for pull in (True, False):
        row = crossing.announced(7, pull, now_ms)
        seen_ms = now_ms + round(crossing.directory_max_age_s * 1000)
        assert crossing.in_time(row, seen_ms), "by whoever read as late as is believed"
