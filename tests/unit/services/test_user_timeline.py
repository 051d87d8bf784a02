"""Profiles: everything of one author, once, to a truthful end."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import InvalidArgument, NotFound, StoreUnavailable
from rookery_server.domain.frames import frame
from rookery_server.domain.limits import DEGRADED_AFTER_MS, MARKS_GOOD_FOR_S, MAX_ROUNDS, WATERMARK_LAG_MS
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.pages import PageSource
from tests.unit.services.world import World


async def _scroll(world: World, user: int, size: int, exclude_replies: bool = False) -> tuple[list[int], int]:
    shown: list[int] = []
    cursor: PageCursor | None = None
    for pages in range(1, 1000):
        page = await world.profiles.page(world.call(0), user, size, cursor, exclude_replies)
        shown += page.tweet_ids
        cursor = page.next_cursor
        assert page.info.end_of_history is (cursor is None)
        if cursor is None:
            return shown, pages
    raise AssertionError("the scroll does not end")


@pytest.mark.parametrize("size", [1, 3, 5, 10, 100])
async def test_a_scroll_shows_all_once(world: World, size: int) -> None:
    alice = world.user()
    posts = [await world.post(alice) for _ in range(10)]
    assert (await _scroll(world, alice, size))[0] == posts[::-1]


async def test_a_page_is_framed_and_says_what_it_claims(world: World) -> None:
    alice = world.user()
    tweet = await world.posted(alice)
    await world.mark(world.clock.now_ms())
    page = await world.profiles.page(world.call(0), alice, 0)
    assert page.bodies == (frame(tweet.body),)
    assert page.author_ids == (alice,)
    assert page.newer_cursor is None
    assert page.info.source is PageSource.HISTORY
    assert page.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert not page.info.degraded


async def test_claim_C13_a_profile_claims_no_more_than_its_copies(world: World) -> None:
    """An unblock that was not settled: the rows are there, and the viewer's relations hide them still."""
    alice, bob, carol = world.user(), world.user(), world.user()
    quoted = await world.post(carol)
    await world.graph.block(world.call(carol), bob)
    await world.work()
    assert (await world.profiles.page(world.call(bob), alice, 20)).info.hidden == 0
    quoting = await world.post(alice, quoted_id=quoted)
    world.cache.down.add(world.cache.node_of(bob))
    unblocked_ms = world.clock.now_ms()
    await world.graph.unblock(world.call(carol), bob)
    world.cache.down.clear()
    world.clock.advance(2 * DEGRADED_AFTER_MS)
    await world.mark(unblocked_ms - 1)
    page = await world.profiles.page(world.call(bob), alice, 20)
    assert (page.tweet_ids, page.info.complete_through_ms) == ((), unblocked_ms - 1)
    assert page.info.degraded
    await world.work()
    page = await world.profiles.page(world.call(bob), alice, 20)
    assert page.tweet_ids == (quoting,)
    assert page.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert not page.info.degraded


async def test_claim_C13_what_hid_nothing_claims_by_its_rows(world: World) -> None:
    alice, bob = world.user(), world.user()
    tweet = await world.post(alice)
    world.cache.down.update(world.cache.nodes)
    world.clock.advance(round(MARKS_GOOD_FOR_S * 1000) + 1)
    page = await world.profiles.page(world.call(bob), alice, 20)
    assert page.tweet_ids == (tweet,)
    assert page.info.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS


async def test_claim_C13_copies_read_over_another_connection_than_the_marks_claim_nothing(world: World) -> None:
    """The primary that the marks speak of was succeeded by a replica without the stub."""
    alice, bob = world.user(), world.user()
    await world.graph.block(world.call(bob), alice)
    quoted = await world.post(alice)
    carol = world.user()
    await world.post(carol, quoted_id=quoted)
    await world.work()
    node = world.cache.node_of(carol)

    def succeeded() -> None:
        world.cache.generations[node] += 1

    page = await world.profiles.page(world.call(bob), carol, 20)
    assert (page.info.hidden, page.info.degraded) == (1, False)
    world.cache.before["read_relations"] = succeeded
    page = await world.profiles.page(world.call(bob), carol, 20)
    assert (page.info.hidden, page.info.complete_through_ms, page.info.degraded) == (1, 0, True)


async def test_deleted_tweets_are_filled_up_from_below(world: World) -> None:
    alice = world.user()
    posts = [await world.post(alice) for _ in range(30)]
    for gone in posts[10:]:
        await world.tweets.delete(world.call(alice), gone)
    page = await world.profiles.page(world.call(0), alice, 5)
    assert page.tweet_ids == tuple(posts[9:4:-1])
    assert page.info.hidden == 0


async def test_a_page_of_nothing_goes_on(world: World) -> None:
    alice = world.user()
    posts = [await world.post(alice) for _ in range(2 * MAX_ROUNDS + 1)]
    for gone in posts[1:]:
        await world.tweets.delete(world.call(alice), gone)
    page = await world.profiles.page(world.call(0), alice, 1)
    assert page.tweet_ids == ()
    assert page.next_cursor is not None
    assert not page.info.end_of_history
    assert (await _scroll(world, alice, 1))[0] == posts[:1]


async def test_replies_to_others_can_be_left_out(world: World) -> None:
    alice, bob = world.user(), world.user()
    root, other = await world.post(alice), await world.post(bob)
    thread = await world.post(alice, in_reply_to_id=root)
    answer = await world.post(alice, in_reply_to_id=other)
    assert (await _scroll(world, alice, 2))[0] == [answer, thread, root]
    assert (await _scroll(world, alice, 2, exclude_replies=True))[0] == [thread, root]


async def test_an_author_without_posts_ends_at_once(world: World) -> None:
    assert await _scroll(world, world.user(), 5) == ([], 1)


async def test_refusals(world: World) -> None:
    alice = world.user()
    with pytest.raises(NotFound):
        await world.profiles.page(world.call(0), 999, 5)
    with pytest.raises(InvalidArgument):
        await world.profiles.page(world.call(0), alice, -1)
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.profiles.page(world.call(0), alice, 5)
