"""Reading pages: rules B9 to B17 of docs/protocols/build.md, and what every page keeps to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import CacheUnavailable, InvalidArgument, StoreUnavailable
from rookery_server.domain.limits import (
    DEGRADED_AFTER_MS,
    HOME_KEPT,
    MAX_ROUNDS,
    ORDER_SLACK_MS,
    PAGE_DEFAULT,
    PAGE_MAX,
    REREAD_MS,
    WATERMARK_LAG_MS,
)
from rookery_server.domain.models import UserState
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import PageInfo, PageSource
from tests.unit.services.people import become, pair, posts_of
from tests.unit.services.world import World


def _fail(error: Exception) -> None:
    raise error


async def test_build_B9_an_entry_out_of_order_is_found(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 150, apart_ms=40)
    await world.page(alice)
    entries = world.cache.homes[alice]
    newest = entries.pop(0)
    entries.insert(145, newest)  # 5.8 s too deep: within D, far behind the first slice
    assert list((await world.page(alice, 5)).tweet_ids) == posts[:-6:-1]
    assert await world.scroll(alice, 5) == posts[::-1]


async def test_build_B10_a_hint_saves_the_top(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 180)
    await world.page(alice)
    page = await world.page(alice, 20)
    for _ in range(5):
        assert page.next_cursor is not None
        page = await world.page(alice, 20, page.next_cursor)
    assert page.next_cursor is not None
    assert page.next_cursor.position_hint > 100
    assert list(page.tweet_ids) == posts[::-1][100:120]


@pytest.mark.parametrize("hint", [0, 1, 50, 119, 120, 121, 179, 180, 5000])
async def test_build_B10_a_wrong_hint_skips_nothing(world: World, hint: int) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 180)
    await world.page(alice)
    position = PageCursor(posts[60], 0, hint)
    assert await world.scroll(alice, 20, position) == posts[59::-1]


async def test_build_B11_doubles_fall_away(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 10, apart_ms=500)
    await world.page(alice)
    world.cache.homes[alice][3:3] = [posts[8], posts[5], posts[5]]
    assert await world.scroll(alice, 3) == posts[::-1]


async def test_build_B12_below_the_floor_history_goes_on_to_its_end(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, HOME_KEPT + 300, apart_ms=20_000)
    own = world.seed_tweet(alice, world.clock.now_ms() - 400 * 86_400_000)
    await world.page(alice)
    assert await world.scroll(alice, 100) == [*posts[::-1], own]
    deep = await world.page(alice, 20, PageCursor(posts[100]))
    assert deep.info.source is PageSource.HISTORY
    assert list(deep.tweet_ids) == posts[99:79:-1]


async def test_build_B12_one_instant(world: World) -> None:
    alice, bob = await pair(world)
    for _ in range(1000):
        world.seed_tweet(bob, world.clock.now_ms() - 60_000)
    shown = await world.scroll(alice, 33)
    assert len(shown) == 1000
    assert shown == world.truth(alice)


async def test_build_B12_only_authors_whose_list_is_cut_are_asked(world: World) -> None:
    alice, bob = await pair(world)
    quiet = [world.user() for _ in range(20)]
    for author in quiet:
        await world.follow(alice, author)
        world.seed_tweet(author, world.clock.now_ms() - 86_400_000)
    posts = await posts_of(world, bob, 1000, apart_ms=20_000)
    await world.page(alice)
    world.store.calls.clear()
    await world.page(alice, 20, PageCursor(posts[50]))
    assert world.store.calls.count("user_tweet_ids") == 1


async def test_build_B12_author_lists_that_are_not_vouched_for_are_not_used(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 150)
    await world.page(alice)
    await world.age()
    del world.cache.authors[bob][20:30]  # its node lost its last second, and nobody has read its marks since
    world.cache.generations[world.cache.node_of(bob)] += 1
    del world.cache.homes[alice][1:]  # all but the newest comes from the authors
    page = await world.page(alice, 50)
    assert page.info.source is PageSource.HISTORY
    assert list(page.tweet_ids) == posts[:-51:-1]


async def test_build_B13_a_page_of_dropped_tweets_reaches_older_ones(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 120)
    for gone in posts[10:]:
        await world.tweets.delete(world.call(bob), gone)
    page = await world.page(alice, 20)
    assert list(page.tweet_ids) == posts[9::-1]
    assert page.info.end_of_history


async def test_build_B13_a_short_page_has_a_cursor(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, (PAGE_DEFAULT + 1) * MAX_ROUNDS)
    for gone in posts[1:]:
        await world.tweets.delete(world.call(bob), gone)
    page = await world.page(alice, 1)
    assert page.tweet_ids == ()
    assert page.next_cursor is not None
    assert not page.info.end_of_history
    assert await world.scroll(alice, 1) == posts[:1]


async def test_build_B13_half_the_deadline_ends_a_page(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 100)
    for gone in posts[50:]:
        await world.tweets.delete(world.call(bob), gone)
    await world.page(alice)
    world.cache.before["get_bodies"] = lambda: world.clock.advance(1500)
    page = await world.page(alice, 20)
    assert page.tweet_ids == ()
    assert page.next_cursor is not None


@pytest.mark.parametrize("size", [1, 7, 20, 100])
async def test_build_B13_every_cut_of_a_scroll_shows_all_once(world: World, size: int) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 100, apart_ms=3000)
    for gone in posts[::3]:
        await world.tweets.delete(world.call(bob), gone)
    assert await world.scroll(alice, size) == world.truth(alice)


async def test_build_B14_a_list_claims_what_its_marks_said(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    now = world.clock.now_ms()
    world.cache.marks["node-1"] = {**(world.cache.marks["node-1"] or {}), 2: now - 9000}
    await world.claims.refresh()
    page = await world.page(alice)
    assert page.info.complete_through_ms == now - 9000
    assert not page.info.degraded
    world.clock.advance(DEGRADED_AFTER_MS - 9000 + 1)
    assert (await world.page(alice)).info.degraded


async def test_build_B14_a_list_read_over_another_connection_claims_nothing(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    await world.age()
    world.cache.generations[world.cache.node_of(alice)] += 1
    page = await world.page(alice)
    assert page.info.source is PageSource.LIST
    assert page.info.complete_through_ms == 0
    assert page.info.degraded
    await world.claims.refresh()
    assert not (await world.page(alice)).info.degraded


async def test_build_B14_history_claims_the_start_of_its_first_read(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 900, apart_ms=20_000)
    await world.page(alice)
    await world.mark(world.clock.now_ms())
    world.cache.authors.clear()
    page = await world.page(alice, 20, PageCursor(posts[50]))
    assert page.info.source is PageSource.HISTORY
    assert page.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS


async def test_claim_C11_a_page_of_rows_claims_nothing_while_the_clock_is_in_doubt(world: World) -> None:
    """Ahead, it would claim the future, and whoever goes on from that would pass over what comes until then."""
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 900, apart_ms=20_000)
    before = (await world.page(alice)).newer_cursor
    assert before is not None
    world.cache.authors.clear()
    world.gate.open = False
    page = await world.page(alice, 20, PageCursor(posts[50]))
    assert (page.info.complete_through_ms, page.info.degraded) == (0, True)
    assert (await world.profiles.page(world.call(alice), bob, 20)).info == PageInfo(PageSource.HISTORY, False, 0, True)
    world.cache.homes.clear()
    newer = (await world.page(alice, 20, before)).newer_cursor
    assert newer is not None
    assert newer.complete_through_ms == before.complete_through_ms


async def test_claim_C13_what_is_below_the_list_claims_no_more_than_the_copies_that_hide_some_of_it(
    world: World,
) -> None:
    """Its ids are rows, but an unblock that was not settled is not yet known to the relations it is judged by."""
    alice, bob = await pair(world)
    carol = world.user()
    await world.follow(alice, carol)
    quoting = await world.post(bob, quoted_id=await world.post(carol))
    await world.graph.block(world.call(carol), alice)
    world.clock.advance(1_000 * 20_000)
    await posts_of(world, bob, 900, apart_ms=20_000)
    await world.work()
    await world.page(alice)
    world.cache.authors.clear()
    world.cache.histories.clear()
    world.cache.down.add(world.cache.node_of(alice))
    unblocked_ms = world.clock.now_ms()
    await world.graph.unblock(world.call(carol), alice)
    world.cache.down.clear()
    world.clock.advance(30_000)
    await world.mark(unblocked_ms - 1)
    page = await world.page(alice, 20, PageCursor(quoting + 1))
    assert page.info.source is PageSource.HISTORY
    assert quoting not in page.tweet_ids
    assert (page.info.hidden, page.info.degraded) == (1, True)
    assert page.info.complete_through_ms == unblocked_ms - 1
    world.cache.calls.clear()
    kept = await world.page(alice, 20, PageCursor(quoting + 1))
    assert "store_history" not in world.cache.calls, "out of what was kept by the page before"
    assert kept.info == page.info


@pytest.mark.parametrize("source", [PageSource.BUILD, PageSource.MERGE])
async def test_claim_C13_what_is_made_of_rows_claims_no_more_than_the_standings_that_hide_some_of_it(
    world: World, source: PageSource
) -> None:
    """An author is back, and that was not settled: another server still holds what it knew."""
    alice, bob = await pair(world)
    await become(world, bob, state=UserState.DEACTIVATED)
    await posts_of(world, bob, 1)
    await world.work()
    assert (await world.page(alice)).info.hidden == 1
    world.store.users[bob] = replace(world.store.users[bob], state=UserState.ACTIVE)
    back_ms = world.clock.now_ms()
    world.seed_tweet(bob, back_ms)
    world.clock.advance(30_000)
    world.cache.homes.clear()
    world.cache.authors.clear()
    await world.mark(back_ms - 1)
    if source is PageSource.MERGE:
        world.cache.before["begin_home"] = lambda: _fail(CacheUnavailable())
    page = await world.page(alice)
    assert (page.info.source, page.info.hidden) == (source, 2)
    assert (page.info.complete_through_ms, page.info.degraded) == (back_ms - 1, True)


async def test_build_B14_rows_claim_no_more_than_they_could_before_it_was_asked_whose_they_are(world: World) -> None:
    """Whoever is followed while a process stands still is not among the authors it merges."""
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    world.cache.down.update(world.cache.nodes)
    before_ms = world.clock.now_ms()
    world.store.before["following"] = lambda: world.clock.advance(60_000)
    page = await world.page(alice)
    assert page.info.source is PageSource.MERGE
    assert page.info.complete_through_ms == before_ms - WATERMARK_LAG_MS


async def test_build_B14_a_mixed_page_claims_the_least_of_its_parts(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 900, apart_ms=20_000)
    await world.page(alice)
    del world.cache.homes[alice][30:]
    now = world.clock.now_ms()
    await world.mark(now - 9000)
    page = await world.page(alice, 50)  # 30 of the list, the rest of the store
    assert list(page.tweet_ids) == posts[:-51:-1]
    assert page.info.source is PageSource.HISTORY
    assert page.info.complete_through_ms == now - 9000
    await world.mark(now)
    world.cache.authors.clear()  # now the rows are what claims least
    world.cache.histories.clear()
    assert (await world.page(alice, 50)).info.complete_through_ms == now - WATERMARK_LAG_MS


async def test_build_B14_lists_and_rows_of_one_merge_claim_the_least(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    now = world.clock.now_ms()
    for marked, claimed in ((now - 9000, now - 9000), (now, now - WATERMARK_LAG_MS)):
        await world.mark(marked)
        world.cache.homes.clear()
        del world.cache.authors[alice]  # loaded from the store; Bob's is there
        page = await world.page(alice)
        assert page.info.source is PageSource.BUILD
        assert page.info.complete_through_ms == claimed


async def test_build_B15_what_came_late_below_the_claim_is_repeated(world: World) -> None:
    alice, bob = await pair(world)
    await world.page(alice)
    shown = await world.post(bob)
    await world.work()
    world.clock.advance(9000)
    later = await world.post(bob)
    await world.work()
    first = await world.page(alice)
    assert first.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    # Both lie within ten seconds below the claim or above it.
    assert (await world.page(alice, 20, first.newer_cursor)).tweet_ids == (later, shown)


async def test_build_B15_the_newer_cursor_shows_what_came_since_and_no_further(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 300, apart_ms=1000)
    first = await world.page(alice)
    assert first.newer_cursor == NewerCursor(first.tweet_ids[0], first.info.complete_through_ms)
    world.clock.advance(100_000)
    fresh = [await world.post(bob) for _ in range(50)]
    await world.work()
    shown = await world.scroll(alice, 20, first.newer_cursor)
    border = ids.first_at(first.info.complete_through_ms - REREAD_MS)
    assert shown == [id_ for id_ in world.truth(alice) if id_ >= border]
    assert set(fresh) <= set(shown)


async def test_build_B15_nothing_new_is_not_the_end_of_history(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    first = await world.page(alice)
    again = await world.page(alice, 20, first.newer_cursor)
    assert again.tweet_ids == ()
    assert again.next_cursor is None
    assert not again.info.end_of_history
    assert again.newer_cursor == NewerCursor(first.tweet_ids[0], again.info.complete_through_ms)


async def test_build_B15_a_claim_that_falls_does_not_forget_the_one_before(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    first = await world.page(alice)
    world.cache.down.add("node-1" if world.cache.node_of(alice) != "node-1" else "node-2")
    await world.claims.refresh()
    again = await world.page(alice, 20, first.newer_cursor)
    assert again.info.complete_through_ms == 0
    assert again.newer_cursor is not None
    assert again.newer_cursor.complete_through_ms == first.info.complete_through_ms


async def test_build_B15_only_pages_from_the_top_have_one(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 30)
    page = await world.page(alice)
    assert (await world.page(alice, 20, page.next_cursor)).newer_cursor is None


async def test_build_B16_a_token_adds_what_is_not_delivered_yet(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    posted = await world.posted(bob)
    assert posted.tweet_id not in (await world.page(alice)).tweet_ids
    page = await world.page(alice, token=posted.token)
    assert list(page.tweet_ids) == world.truth(alice)
    world.clock.advance(WATERMARK_LAG_MS)
    await world.work()
    world.store.calls.clear()
    assert list((await world.page(alice, token=posted.token)).tweet_ids) == world.truth(alice)
    assert "user_tweet_ids" not in world.store.calls


async def test_build_B16_a_token_of_a_stranger_adds_nothing(world: World) -> None:
    alice, _ = await pair(world)
    posted = await world.posted(world.user())
    assert (await world.page(alice, token=posted.token)).tweet_ids == ()


async def test_build_B16_ones_own_post_shows_with_its_token_even_without_the_cache(world: World) -> None:
    alice, _ = await pair(world)
    await world.page(alice)
    world.cache.down.add(world.cache.node_of(alice))
    posted = await world.posted(alice)
    world.cache.down.clear()
    await world.claims.refresh()
    assert (await world.page(alice, token=posted.token)).tweet_ids == (posted.tweet_id,)


async def test_build_B16_a_relation_token_refuses_the_list_as_it_was(world: World) -> None:
    alice, bob = await pair(world)
    carol = world.user()
    await posts_of(world, bob, 3)
    await posts_of(world, carol, 3)
    await world.page(alice)
    world.cache.down.add(world.cache.node_of(alice))
    changed = await world.follow(alice, carol)  # the stub does not arrive
    world.cache.down.clear()
    await world.claims.refresh()
    page = await world.page(alice, token=changed.token)
    assert page.info.source is PageSource.MERGE
    assert list(page.tweet_ids) == world.truth(alice)


async def test_build_B16_a_deleted_tweet_named_by_a_token_is_read_from_the_store(world: World) -> None:
    alice, bob = await pair(world)
    tweet = await world.post(bob)
    await world.work()
    await world.page(alice)
    world.cache.down.add(world.cache.node_of(tweet))
    removed = await world.tweets.delete(world.call(bob), tweet)
    world.cache.down.clear()
    await world.claims.refresh()
    assert (await world.page(alice, token=removed.token)).tweet_ids == ()


async def test_build_B17_the_cache_out_of_reach_is_merged_and_said(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 30)
    world.cache.down.update(world.cache.nodes)
    await world.claims.refresh()
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[:-21:-1]
    assert page.info.source is PageSource.MERGE
    assert page.info.degraded
    assert page.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert await world.scroll(alice, 7) == posts[::-1]


async def test_build_B17_the_store_without_quorum_gives_the_cached_page(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 30)
    await world.scroll(alice)
    world.store.down = True
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[:-21:-1]
    assert not page.info.stale  # all of it was cached, relations too
    world.cache.relations.pop(alice)
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[:-21:-1]
    assert page.info.stale
    assert page.info.complete_through_ms == 0


async def test_build_B17_a_stale_page_ends_before_what_is_not_cached(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 30)
    await world.scroll(alice)
    del world.cache.bodies[posts[20]]
    world.store.down = True
    page = await world.page(alice)
    assert list(page.tweet_ids) == posts[:20:-1]
    assert page.info.stale
    assert page.next_cursor is not None
    with pytest.raises(StoreUnavailable):
        await world.page(alice, 20, page.next_cursor)
    world.store.down = False
    assert await world.scroll(alice, 20, page.next_cursor) == posts[20::-1]


async def test_build_B17_nothing_cached_is_unavailable(world: World) -> None:
    alice, _ = await pair(world)
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.page(alice)


async def test_own_posts_show_at_once(world: World) -> None:
    alice, _ = await pair(world)
    await world.page(alice)
    tweet = await world.post(alice)
    assert (await world.page(alice)).tweet_ids == (tweet,)


async def test_a_tweet_that_no_quorum_shows_is_left_out_until_it_is_there(world: World) -> None:
    alice, bob = await pair(world)
    tweet = await world.post(bob)
    await world.work()
    await world.page(alice)
    world.cache.bodies.clear()
    row = world.store.tweets.pop(tweet)
    assert (await world.page(alice)).tweet_ids == ()
    world.store.tweets[tweet] = row
    assert (await world.page(alice)).tweet_ids == (tweet,)


async def test_page_sizes(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, PAGE_MAX + 50)
    assert len((await world.page(alice, 0)).tweet_ids) == PAGE_DEFAULT
    assert len((await world.page(alice, 10**9)).tweet_ids) == PAGE_MAX
    with pytest.raises(InvalidArgument):
        await world.page(alice, -1)


async def test_a_cursor_of_last_year_works(world: World) -> None:
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 50)
    cursor = (await world.page(alice)).next_cursor
    assert cursor is not None
    world.clock.advance(366 * 86_400_000)
    world.cache.homes.clear()
    world.cache.authors.clear()
    for _ in range(30):
        await world.post(bob)
    assert await world.scroll(alice, 20, cursor) == posts[29::-1]
    assert await world.scroll(alice, 20, replace(cursor, position_hint=10_000)) == posts[29::-1]


async def test_authors_and_bodies_are_aligned(world: World) -> None:
    alice, bob = await pair(world)
    own, other = await world.post(alice), await world.post(bob)
    await world.work()
    page = await world.page(alice)
    assert page.tweet_ids == (other, own)
    assert page.author_ids == (bob, alice)
    assert b"".join(page.bodies) == world.cache.bodies[other] + world.cache.bodies[own]


def test_the_slack_is_ten_seconds() -> None:
    assert ORDER_SLACK_MS == 10_000


@pytest.mark.parametrize("source", [PageSource.LIST, PageSource.BUILD, PageSource.MERGE])
async def test_build_B20_replies_to_strangers_are_left_out_where_asked(world: World, source: PageSource) -> None:
    alice, bob = await pair(world)
    carol, stranger = world.user(), world.user()
    await world.follow(alice, carol)
    asked = [await world.post(author) for author in (alice, carol, stranger)]
    replies = [await world.post(bob, in_reply_to_id=id_) for id_ in asked]
    plain = await world.post(bob)
    await world.work()
    if source is PageSource.LIST:
        await world.page(alice)
    if source is PageSource.MERGE:
        world.cache.down.update(world.cache.nodes)
    everything = await world.page(alice)
    assert everything.info.source is source
    assert list(everything.tweet_ids) == [plain, *replies[::-1], *asked[1::-1]]
    if source is PageSource.BUILD:
        world.cache.homes.clear()
    page = await world.home.page(world.call(alice), 20, only_known_replies=True)
    assert page.info.source is source
    assert list(page.tweet_ids) == [plain, *replies[1::-1], *asked[1::-1]]
    assert page.info.hidden == 1


async def test_claim_C12_a_list_built_anew_between_the_two_looks_claims_nothing(world: World) -> None:
    alice, bob = await pair(world)
    await posts_of(world, bob, 3)
    await world.page(alice)
    claimed = (await world.page(alice)).info
    assert (claimed.source, claimed.degraded) == (PageSource.LIST, False)

    def built_anew() -> None:
        world.cache.built_ms[alice] += 1

    world.cache.before["read_marks"] = built_anew
    page = await world.page(alice)
    assert (page.info.source, page.info.complete_through_ms) == (PageSource.LIST, 0)
    assert (await world.page(alice)).info.complete_through_ms == claimed.complete_through_ms


async def test_claim_C12_of_a_list_built_anew_in_the_middle_of_a_page_nothing_more_is_read(world: World) -> None:
    """The marks this page goes by may be older than what that build was made of."""
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 150)
    for gone in posts[20:]:
        await world.tweets.delete(world.call(bob), gone)
    await world.page(alice)
    await world.age()
    assert (await world.page(alice, 20)).info.source is PageSource.LIST

    def built_anew() -> None:
        world.cache.built_ms[alice] += 1

    world.cache.before["get_bodies"] = built_anew
    page = await world.page(alice, 20)
    assert (page.info.source, list(page.tweet_ids)) == (PageSource.HISTORY, posts[19::-1])
