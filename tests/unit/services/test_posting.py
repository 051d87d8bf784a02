"""Posting: what is refused, what is written, and one tweet however often it is tried."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping

import pytest

from rookery_server.cache.interface import FillMark
from rookery_server.domain import events, ids
from rookery_server.domain.errors import (
    CacheUnavailable,
    InvalidArgument,
    InvalidText,
    NotFound,
    Outcome,
    RateLimited,
    RequestIdReused,
    StoreUnavailable,
)
from rookery_server.domain.events import Event
from rookery_server.domain.frames import frame
from rookery_server.domain.limits import MEDIA_REFERENCES, TWEETS_PER_3H
from rookery_server.services.tweets import Draft, Posted
from rookery_server.store.interface import TweetRow
from tests.unit.services.world import TextCodec, World

REQUEST = str(uuid.UUID(int=42))


def _fail(error: Exception) -> None:
    raise error


def _unknown() -> None:
    raise StoreUnavailable(outcome=Outcome.UNKNOWN)


async def test_a_post_is_stored_shown_to_its_author_and_announced(world: World) -> None:
    alice = world.user()
    await world.page(alice)  # her list exists
    posted = await world.posted(alice, "caf\u0065\u0301")
    row = world.store.tweets[posted.tweet_id]
    assert row == world.store.own_tweets[alice][posted.tweet_id]
    assert row.body == posted.body
    assert row.version_us == ids.write_timestamp_us(posted.tweet_id)
    assert TextCodec().decode(row.body).text == "café"
    assert world.cache.bodies[posted.tweet_id] == frame(posted.body)
    assert posted.tweet_id in world.cache.homes[alice]
    [event] = world.store.log.values()
    assert world.cache.rung == [(events.shard_of(alice, world.store.shards), events.encode(event))]
    assert (event.target, event.version, event.repeat) == (posted.tweet_id, row.version_us, False)
    assert posted.token.event_ms == ids.time_ms(event.id)


async def test_a_reply_names_its_conversation(world: World) -> None:
    alice, bob = world.user(), world.user()
    root = await world.post(alice)
    answer = await world.post(bob, in_reply_to_id=root)
    last = TextCodec().decode((await world.posted(alice, in_reply_to_id=answer, quoted_id=root)).body)
    assert last.reply is not None
    assert last.quoted is not None
    assert (last.reply.to_id, last.reply.to_author_id, last.reply.root_id) == (answer, bob, root)
    assert (last.quoted.id, last.quoted.author_id) == (root, alice)


@pytest.mark.parametrize("draft", [lambda id_: Draft("x", in_reply_to_id=id_), lambda id_: Draft("x", quoted_id=id_)])
async def test_what_is_not_there_cannot_be_answered(world: World, draft: Callable[[int], Draft]) -> None:
    alice = world.user()
    gone = await world.post(alice)
    await world.tweets.delete(world.call(alice), gone)
    for missing in (gone, 12345):
        with pytest.raises(NotFound):
            await world.tweets.create(world.call(alice), draft(missing))
    with pytest.raises(InvalidArgument):
        await world.tweets.create(world.call(alice), draft(-1))
    assert len(world.store.tweets) == 1


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (Draft("x" * 281), InvalidText),
        (Draft("  "), InvalidText),
        (Draft("x", media=("id",) * (MEDIA_REFERENCES + 1)), InvalidArgument),
        (Draft("x", media=("",)), InvalidArgument),
        (Draft("x", media=("http://example.com/a.png",)), InvalidArgument),
        (Draft("x", media=("javascript:alert(1)",)), InvalidArgument),
        (Draft("x", media=("https://user@example.com/a",)), InvalidArgument),
        (Draft("x", media=("https://10.0.0.1/a",)), InvalidArgument),
        (Draft("x", media=("https://localhost/a",)), InvalidArgument),
        (Draft("x", media=("https://example.com/a\r\nb",)), InvalidArgument),
        (Draft("x", media=("https://example.com/" + "a" * 10_240,)), InvalidArgument),
        (Draft("x", media=("a" * 10_240,)), InvalidArgument),
    ],
)
async def test_what_breaks_a_rule_reads_and_writes_nothing(
    world: World, draft: Draft, error: type[InvalidArgument]
) -> None:
    alice = world.user()
    with pytest.raises(error):
        await world.tweets.create(world.call(alice), draft)
    assert world.store.calls == []


async def test_media_references_are_kept_as_they_are(world: World) -> None:
    alice = world.user()
    await world.post(alice, media=("https://media.example.com/a.png?x=1", "object-7.jpg"))
    assert len(world.store.tweets) == 1


async def test_a_stranger_cannot_post(world: World) -> None:
    with pytest.raises(NotFound):
        await world.post(999)


async def test_the_quota_is_counted_by_tweets_written(world: World) -> None:
    alice = world.user()
    call = world.call(alice, bulk=False)
    for _ in range(TWEETS_PER_3H):
        await world.tweets.create(call, Draft("x"))
    with pytest.raises(RateLimited):
        await world.tweets.create(call, Draft("x"))
    assert len(world.store.tweets) == TWEETS_PER_3H


async def test_a_cache_out_of_reach_fails_nothing(world: World) -> None:
    alice = world.user()
    world.cache.before["place_own"] = lambda: _fail(CacheUnavailable())
    tweet = await world.post(alice)
    assert tweet in world.store.tweets


async def test_removal_R5_the_poster_fills_over_the_links_there_were_before_it_posted(world: World) -> None:
    """A node that came back empty meanwhile has forgotten that the tweet was deleted."""
    alice, marks = world.user(), list[FillMark]()
    post, fill = world.store.post, world.cache.fill_bodies

    def taken() -> FillMark:
        marks.append(FillMark(1.0, {}))
        return marks[-1]

    async def posted(row: TweetRow, event: Event) -> None:
        assert marks, "the mark is taken before the tweet is there"
        await post(row, event)

    async def filled(bodies: Mapping[int, bytes], mark: FillMark) -> None:
        assert [mark] == marks
        await fill(bodies, mark)

    world.cache.fill_mark = taken  # type: ignore[method-assign]
    world.store.post = posted  # type: ignore[method-assign]
    world.cache.fill_bodies = filled  # type: ignore[method-assign]
    tweet = await world.post(alice)
    assert list(world.cache.bodies) == [tweet]


# --- request ids --------------------------------------------------------------------------------------------------


async def test_removal_R5_a_repeat_fills_over_the_links_there_were_before_it_read_the_tweet(world: World) -> None:
    alice, order, take = world.user(), list[str](), world.cache.fill_mark

    def taken() -> FillMark:
        order.append("mark")
        return take()

    await world.posted(alice, "same", REQUEST)
    world.serve()  # another server, which does not know that it was acked
    world.cache.fill_mark = taken  # type: ignore[method-assign]
    world.store.before["get_tweets"] = lambda: order.append("read")
    await world.posted(alice, "same", REQUEST)
    assert order == ["mark", "read"]


async def test_a_repeat_by_a_clock_that_was_set_back_has_the_token_of_the_first_answer(world: World) -> None:
    """One of its own time would be satisfied by pages that cannot know of the post."""
    alice = world.user()
    first = await world.posted(alice, "same", REQUEST)
    world.clock.advance(-300_000)
    assert await world.posted(alice, "same", REQUEST) == first


async def test_a_thousand_at_once_are_one_tweet_and_one_event(world: World) -> None:
    alice = world.user()
    posts = await asyncio.gather(*(world.posted(alice, "same", REQUEST) for _ in range(1000)))
    later = await world.posted(alice, "same", REQUEST)
    assert {posted.tweet_id for posted in [*posts, later]} == {posts[0].tweet_id}
    assert len(world.store.tweets) == len(world.store.log) == 1


async def test_other_content_is_refused_and_nothing_is_written(world: World) -> None:
    alice, bob = world.user(), world.user()
    await world.posted(alice, "same", REQUEST)
    world.serve()
    with pytest.raises(RequestIdReused):
        await world.posted(alice, "other", REQUEST)
    assert len(world.store.tweets) == 1
    assert (await world.posted(bob, "other", REQUEST)).tweet_id  # somebody else's id of that name
    with pytest.raises(InvalidArgument):
        await world.posted(alice, "x", "not-a-uuid")


async def test_a_server_killed_before_its_reply_is_repeated_by_another(world: World) -> None:
    alice = world.user()
    first = await world.posted(alice, "same", REQUEST)
    world.serve()
    world.clock.advance(60_000)
    again = await world.posted(alice, "same", REQUEST)
    assert (again.tweet_id, again.body) == (first.tweet_id, first.body)
    one, two = sorted(world.store.log.values(), key=lambda event: event.id)
    assert (one.target, one.version) == (two.target, two.version)
    assert two.repeat
    assert ids.time_ms(two.id) == world.clock.now_ms()


async def test_a_server_killed_after_the_claim_loses_nothing(world: World) -> None:
    alice = world.user()
    world.store.after["claim_request"] = lambda: _fail(StoreUnavailable(outcome=Outcome.UNKNOWN))
    with pytest.raises(StoreUnavailable):
        await world.posted(alice, "same", REQUEST)
    assert not world.store.tweets
    claimed = world.store.requests[alice, REQUEST][1]
    world.clock.advance(10_000)
    assert (await world.posted(alice, "same", REQUEST)).tweet_id == claimed
    [event] = world.store.log.values()
    assert event.repeat


async def test_an_old_body_is_not_put_into_the_cache(world: World) -> None:
    # Its tweet may have been deleted since, and the marker be gone (removal R5).
    alice = world.user()
    first = await world.posted(alice, "same", REQUEST)
    world.serve()
    world.clock.advance(60_000)
    world.cache.bodies.clear()
    await world.posted(alice, "same", REQUEST)
    assert first.tweet_id not in world.cache.bodies


async def test_what_was_posted_and_deleted_is_gone_for_a_repeat_too(world: World) -> None:
    alice = world.user()
    first = await world.posted(alice, "same", REQUEST)
    await world.tweets.delete(world.call(alice), first.tweet_id)
    for _ in range(2):
        with pytest.raises(NotFound):
            await world.posted(alice, "same", REQUEST)
        world.serve()
    assert world.store.tweets[first.tweet_id].body == b""


async def test_an_unknown_outcome_is_repeated_once_under_a_new_event(world: World) -> None:
    alice = world.user()
    world.store.after["post"] = _unknown
    posted = await world.posted(alice)
    assert [event.repeat for _, event in sorted(world.store.log.items())] == [False, True]
    assert list(world.store.tweets) == [posted.tweet_id]
    assert posted.token.event_ms == ids.time_ms(max(world.store.log))


async def test_unknown_and_no_time_left_is_said(world: World) -> None:
    alice = world.user()
    world.store.before["post"] = _unknown
    with pytest.raises(StoreUnavailable) as failed:
        await world.tweets.create(world.call(alice, left_s=0.01), Draft("x"))
    assert failed.value.outcome is Outcome.UNKNOWN


async def test_a_caller_that_goes_away_does_not_stop_a_post(world: World) -> None:
    alice, begun, release = world.user(), asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await release.wait()

    world.store.before["post"] = hold
    caller: asyncio.Task[Posted] = asyncio.create_task(world.posted(alice))
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    release.set()
    while not world.cache.rung:  # noqa: ASYNC110 - the last thing a post does
        await asyncio.sleep(0)
    assert len(world.store.tweets) == 1
