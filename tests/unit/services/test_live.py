"""Streams of a home timeline, rule by rule: docs/protocols/live.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rookery_server.cache import keys
from rookery_server.domain import ids, limits
from rookery_server.domain.errors import StoreUnavailable, TooManyStreams, Unavailable
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.live import LiveSettings, LiveTimelines
from rookery_server.services.live_progress import Next, Progress
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage
from rookery_server.services.tweets import Draft
from tests.unit.services.live_world import ALL_DAY, LiveStage, Reader, tell

T0 = 1_700_000_000_000
NOTHING = TimelinePage((), (), (), None, None, PageInfo(PageSource.LIST, False, 0))


class Pages:
    """A home whose pages a test makes; `lists` are those of a stage without lists."""

    def __init__(self, make: Callable[[PageCursor | NewerCursor], Awaitable[TimelinePage]]):
        self._make = make
        self.asked_at: list[float] = []

    async def page(
        self,
        call: Call,
        page_size: int,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
        only_known_replies: bool = False,
    ) -> TimelinePage:
        assert position is not None
        self.asked_at.append(asyncio.get_running_loop().time())
        return await self._make(position)


def over(stage: LiveStage, pages: Pages, settings: LiveSettings | None = None) -> LiveTimelines:
    return LiveTimelines(pages, stage.caches.client(), stage.time, stage.gate, settings or LiveSettings())


def call(stage: LiveStage, user: int) -> Call:
    return Call(user, stage.time.monotonic() + ALL_DAY)


# --- when to read -----------------------------------------------------------------------------------------------------


def test_live_S1_what_arrives_is_sent_within_seconds() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob, carol = await stage.people("alice", "bob", "carol")
        reader = stage.open(alice)
        await asyncio.sleep(3)
        for author in (bob, carol, alice):
            began, tweet = stage.time.monotonic(), await stage.post(author)
            await asyncio.sleep(3)
            assert reader.ids[-1] == tweet
            assert reader.at[-1] - began <= 2.0
        assert len(reader.ids) == 3

    tell(story)


def test_live_S1_what_arrives_while_a_page_is_read_is_another_change() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        late: list[int] = []

        async def then_a_post(position: PageCursor | NewerCursor) -> TimelinePage:
            page = await stage.one.home.page(stage.one.call(alice), 100, position)
            if page.tweet_ids and not late:
                late.append(await stage.post(bob))
                await asyncio.sleep(0.9)  # the poller may look meanwhile
            return page

        reader = Reader(over(stage, Pages(then_a_post)), call(stage, alice), None)
        await asyncio.sleep(3.3)
        first = await stage.post(bob)
        await asyncio.sleep(4)
        assert reader.ids == [first, *late]

    tell(story)


def test_live_S1_authors_who_are_merged_are_looked_at_too() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob, star = await stage.people("alice", "bob", "star")
        await stage.make_pull(star)
        reader, other = stage.open(alice), stage.open(bob)
        await asyncio.sleep(3.4)  # between two looks
        for _ in range(5):
            await stage.one.page(alice)  # its copy of the star's list is as old as it may be when the post comes
            began, tweet = stage.time.monotonic(), await stage.post(star)
            await asyncio.sleep(4)
            assert reader.ids[-1] == tweet
            assert reader.at[-1] - began <= 3.0
        assert len(reader.ids) == 5
        assert other.ids == []

    tell(story)


def test_live_S2_no_streams_no_work() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        await asyncio.sleep(30)
        assert stage.looks.commands.total() == 0
        readers = [stage.open(alice), stage.open(bob), stage.open(bob)]
        await asyncio.sleep(10.5)
        # All of them together: at most one command a node and second.
        assert 10 <= stage.looks.commands["read_heads"] <= 20
        for reader in readers:
            await reader.leave()
        before = stage.looks.commands.total()
        assert "live poller" not in {task.get_name() for task in asyncio.all_tasks() if not task.cancelling()}
        await asyncio.sleep(60)
        assert stage.looks.commands.total() == before
        reader = stage.open(alice)
        await asyncio.sleep(3)
        assert stage.looks.commands.total() > before
        tweet = await stage.post(bob)
        await asyncio.sleep(3)
        assert reader.ids == [tweet]

    tell(story)


def test_live_S3_a_heartbeat_says_how_far_the_claim_has_come() -> None:
    async def story(stage: LiveStage) -> None:
        alice, _ = await stage.people("alice", "bob")
        reader = stage.open(alice)
        await asyncio.sleep(50)
        assert reader.ids == []
        gaps = [late - early for early, late in zip(reader.at, reader.at[1:], strict=False)]
        assert gaps == pytest.approx([15.0] * 3, abs=0.2)
        for message, at in list(zip(reader.messages, reader.at, strict=True))[1:]:
            age_ms = at * 1000 + stage.time.now_ms() - stage.time.monotonic() * 1000 - message.info.complete_through_ms
            assert 5_000 <= age_ms <= 9_000
            assert not message.info.degraded
            assert message.cursor.complete_through_ms == message.info.complete_through_ms

    tell(story)


def test_live_S3_what_no_look_shows_comes_with_the_heartbeat() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        node = stage.caches.node_of(alice)
        reader = stage.open(alice)
        await asyncio.sleep(3)
        newest = [await stage.post(bob) for _ in range(20)]
        await asyncio.sleep(3)
        assert sorted(reader.ids) == newest
        entries = node.get(keys.home(alice))
        assert isinstance(entries, tuple)
        deep = await stage.one.tweets.create(stage.one.call(bob), Draft("deep"))
        node.set(keys.home(alice), (*entries[:18], deep.tweet_id, *entries[18:]), 1_000.0)
        await asyncio.sleep(16)
        assert sorted(reader.ids) == [*newest, deep.tweet_id]

    tell(story)


def test_live_S3_a_node_that_does_not_answer_costs_freshness_only() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        reader = stage.open(alice)
        await asyncio.sleep(3)
        stage.caches.node_of(alice).kill()
        posts = []
        for _ in range(4):
            posts.append(await stage.post(bob))
            await asyncio.sleep(20)
        assert reader.ids == posts
        assert any(message.info.degraded for message in reader.messages)
        stage.caches.node_of(alice).fail_over()
        await asyncio.sleep(60)
        assert not reader.messages[-1].info.degraded
        assert reader.ids == posts

    tell(story)


def test_live_S4_so_many_pages_at_a_time() -> None:
    async def story(stage: LiveStage) -> None:
        reading = most = 0

        async def slowly(position: PageCursor | NewerCursor) -> TimelinePage:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0.1)
            reading -= 1
            return NOTHING

        live = over(stage, Pages(slowly))
        readers = [Reader(live, call(stage, user), None) for user in range(1, 101)]
        await asyncio.sleep(2)
        assert most == limits.STREAM_READS
        assert all(reader.messages for reader in readers)

    tell(story)


@pytest.mark.parametrize("stale", [True, False])
def test_live_S4_what_cannot_be_had_is_asked_for_after_longer_and_longer_pauses(stale: bool) -> None:
    async def story(stage: LiveStage) -> None:
        tweet = ids.first_at(stage.time.now_ms())
        unproven = PageInfo(PageSource.LIST, False, stage.time.now_ms() + 1, stale=True)

        async def refuse(position: PageCursor | NewerCursor) -> TimelinePage:
            if stale:
                return TimelinePage((b"removed since",), (tweet,), (7,), None, None, unproven)
            raise StoreUnavailable

        pages = Pages(refuse)
        began = stage.time.now_ms()
        reader = Reader(over(stage, pages), call(stage, 1), None)
        await asyncio.sleep(100)
        assert reader.ids == []
        assert len(reader.messages) >= 6  # heartbeats go on, and say so
        assert {message.cursor for message in reader.messages} == {LiveCursor(began)}
        assert all(message.info.stale if stale else message.info.degraded for message in reader.messages)
        pauses = [late - early for early, late in zip(pages.asked_at, pages.asked_at[1:], strict=False)]
        assert pauses[:3] == pytest.approx([1.0, 2.0, 4.0])
        assert all(pause <= 15.01 for pause in pauses)
        assert len(pages.asked_at) <= 14

    tell(story)


# --- what to send -----------------------------------------------------------------------------------------------------


def test_live_S5_oldest_first_and_late_ones_late() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        reader = stage.open(alice)
        await asyncio.sleep(3)
        early = ids.compose(stage.time.now_ms() - 5, 900, 0)
        posts = [await stage.post(bob) for _ in range(5)]
        await asyncio.sleep(4)
        assert reader.ids == posts
        assert early < posts[0]
        await stage.commit_late(bob, early)
        await asyncio.sleep(3)
        assert reader.ids == [*posts, early]
        await asyncio.sleep(60)
        assert reader.ids == [*posts, early]

    tell(story)


def test_live_S6_only_a_page_that_came_down_moves_the_claim() -> None:
    progress = Progress(LiveCursor(T0))
    sent = [ids.first_at(ms) for ms in (T0 - 1_000, T0 + 3_000)]
    send, then = progress.take(page_of(sent, T0 - 5_000))
    assert (send, then, progress.claim_ms) == ([1, 0], Next.LATER, T0)
    send, then = progress.take(page_of(sent, T0 + 4_000))
    assert (send, then, progress.claim_ms) == ([], Next.LATER, T0 + 4_000)
    assert progress.cursor() == LiveCursor(T0 + 4_000, tuple(sent))
    progress.take(page_of(sent[1:], T0 + 12_000))
    assert progress.cursor() == LiveCursor(T0 + 12_000, (sent[1],))


def page_of(oldest_first: list[int], claim_ms: int, next_cursor: PageCursor | None = None) -> TimelinePage:
    shown = tuple(reversed(oldest_first))
    info = PageInfo(PageSource.LIST, False, claim_ms)
    return TimelinePage(tuple(b"%d" % id_ for id_ in shown), shown, shown, next_cursor, None, info)


def test_live_S7_a_gap_is_closed_from_its_top_by_pages_that_prove_as_much() -> None:
    tweets = [ids.first_at(ms) for ms in range(T0, T0 + 100_000, 1_000)]
    progress = Progress(LiveCursor(T0))
    floor = ids.first_at(T0 - 10_000)
    send, then = progress.take(page_of(tweets[90:], T0 + 95_000, PageCursor(tweets[90], floor)))
    assert (len(send), then) == (10, Next.NOW)
    assert progress.claim_ms == T0
    assert progress.position() == PageCursor(tweets[90], floor)
    # Less than T, and less than what is left of the gap needs.
    assert progress.take(page_of(tweets[80:90], T0 + 94_000, PageCursor(tweets[80], floor))) == ([], Next.SOON)
    assert progress.take(page_of(tweets[80:90], T0 + 95_000, PageCursor(tweets[80], floor))) == (
        [*range(9, -1, -1)],
        Next.NOW,
    )
    # Kept history: older than T, and 10 s younger than all that is left.
    assert progress.take(page_of(tweets[40:80], T0 + 89_999, PageCursor(tweets[40], floor)))[1] is Next.SOON
    assert progress.take(page_of(tweets[40:80], T0 + 90_000, PageCursor(tweets[40], floor)))[1] is Next.NOW
    assert progress.cursor().complete_through_ms == T0 + 95_000
    assert progress.claim_ms == T0
    send, then = progress.take(page_of(tweets[:40], T0 + 90_000))
    assert (len(send), then, progress.claim_ms) == (40, Next.NOW, T0 + 95_000)
    assert progress.cursor() == LiveCursor(T0 + 95_000, tuple(tweets[85:]))


def test_live_S7_without_proof_there_is_no_gap() -> None:
    tweets = [ids.first_at(ms) for ms in range(T0, T0 + 100_000, 1_000)]
    progress = Progress(LiveCursor(T0))
    cursor = PageCursor(tweets[90], ids.first_at(T0 - 10_000))
    assert progress.take(page_of(tweets[90:], T0, cursor))[1] is Next.SOON
    assert progress.position() == NewerCursor(0, T0)
    assert progress.take(page_of(tweets[90:], 0, cursor)) == ([], Next.SOON)
    send, then = progress.take(page_of(tweets, T0 + 101_000))
    assert (len(send), then, progress.claim_ms) == (90, Next.LATER, T0 + 101_000)


def test_live_S7_who_was_away_for_long_gets_all_of_it_once() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        first = stage.open(alice)
        await asyncio.sleep(20)
        await first.leave()
        posts = []
        for _ in range(1_100):  # more than a list keeps
            posts.append(await stage.post(bob))
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
        reader = stage.open(alice, first.cursor, stage.two)
        await asyncio.sleep(5)
        late = await stage.post(bob)
        await asyncio.sleep(40)
        assert sorted(reader.ids) == [*posts, late]
        assert reader.ids[-1] == late
        assert all(list(message.tweet_ids) == sorted(message.tweet_ids) for message in reader.messages)
        # What is claimed before all of it was sent is what was claimed before.
        sent = 0
        for message in reader.messages:
            sent += len(message.tweet_ids)
            if sent < len(posts):
                assert message.info.complete_through_ms == first.cursor.complete_through_ms
        assert reader.messages[-1].info.complete_through_ms > ids.time_ms(late)

    tell(story)


def test_live_S8_judged_when_it_is_sent() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob, carol, dora = await stage.people("alice", "bob", "carol", "dora")
        reader = stage.open(alice)
        await asyncio.sleep(3)
        reader.gate.clear()
        kept = [await stage.post(bob)]
        await asyncio.sleep(2)
        assert reader.ids == kept  # and is not done with it: nothing more is made
        gone, unfollowed, blocked = await stage.post(bob), await stage.post(carol), await stage.post(dora)
        kept.append(await stage.post(bob))
        await asyncio.sleep(2)
        one = stage.one
        await one.tweets.delete(one.call(bob), gone)
        await one.graph.unfollow(one.call(alice), carol)
        await one.graph.block(one.call(dora), alice)
        reader.gate.set()
        await asyncio.sleep(30)
        assert reader.ids == kept
        assert not {gone, unfollowed, blocked} & {*reader.ids}

    tell(story)


def test_live_S8_following_somebody_does_not_bring_their_past() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        stranger = (await stage.people("stranger"))[0]
        for _ in range(3):
            await stage.post(stranger)
        await asyncio.sleep(60)
        reader = stage.open(alice)
        await asyncio.sleep(20)
        await stage.one.graph.follow(stage.one.call(alice), stranger)
        await asyncio.sleep(5)
        posts = [await stage.post(stranger), await stage.post(bob)]
        await asyncio.sleep(5)
        assert reader.ids == posts

    tell(story)


def test_live_S8_choices_are_those_of_the_page() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob, stranger = await stage.people("alice", "bob", "stranger")
        await stage.one.graph.unfollow(stage.one.call(alice), stranger)
        lives = stage.lives[stage.one]
        all_of_it, known = (Reader(lives, call(stage, alice), None, choice) for choice in (False, True))
        await asyncio.sleep(3)
        first, theirs = await stage.post(bob), await stage.post(stranger)
        to_known = await stage.post(bob, in_reply_to_id=first)
        to_stranger = await stage.post(bob, in_reply_to_id=theirs)
        await asyncio.sleep(4)
        assert known.ids == [first, to_known]
        assert all_of_it.ids == [first, to_known, to_stranger]

    tell(story)


# --- coming and going -------------------------------------------------------------------------------------------------


def test_live_S9_from_now_on() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        old = await stage.post(bob)
        await asyncio.sleep(15)
        lately = await stage.post(bob)
        await asyncio.sleep(5)
        began = stage.time.monotonic()
        reader = stage.open(alice)
        await asyncio.sleep(0.5)
        assert reader.at[0] - began < 0.1
        assert reader.ids == [lately]
        assert old not in reader.ids
        await asyncio.sleep(30)
        assert reader.ids == [lately]

    tell(story)


def test_live_S9_the_first_message_comes_at_once_even_if_nothing_can_be_read() -> None:
    async def story(stage: LiveStage) -> None:
        async def refuse(position: PageCursor | NewerCursor) -> TimelinePage:
            raise StoreUnavailable

        reader = Reader(over(stage, Pages(refuse)), call(stage, 1), None)
        await asyncio.sleep(0.1)
        (message,) = reader.messages
        assert (message.bodies, message.info.degraded) == ((), True)

    tell(story)


def test_live_S9_no_stream_begins_now_where_nobody_knows_when_that_is() -> None:
    async def story(stage: LiveStage) -> None:
        (alice,) = await stage.people("alice")
        reader = stage.open(alice)
        await asyncio.sleep(1)
        stage.gate.open = False
        live = stage.lives[stage.one]
        with pytest.raises(Unavailable):
            await anext(live.stream(call(stage, alice)))
        assert live.open_streams == 1, "the one from before"
        resumed = live.stream(call(stage, alice), reader.messages[-1].cursor)
        assert (await anext(resumed)).cursor == reader.messages[-1].cursor
        await resumed.aclose()

    tell(story)


def test_live_S9_behind_a_page() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        before = await stage.post(bob)
        await asyncio.sleep(60)
        shown = await stage.post(bob)
        await asyncio.sleep(2)
        page = await stage.one.page(alice)
        assert page.tweet_ids == (shown, before)
        missed = [await stage.post(bob) for _ in range(3)]
        await asyncio.sleep(60)
        reader = stage.open(alice, page.newer_cursor)
        await asyncio.sleep(1)
        assert reader.ids == [shown, *missed]

    tell(story)


def test_live_S9_behind_a_page_that_claimed_nothing() -> None:
    tweet = ids.first_at(T0)
    assert Progress.begin(NewerCursor(tweet, 0), lambda: T0 + 99_000).cursor() == LiveCursor(T0)
    assert Progress.begin(NewerCursor(0, 0), lambda: T0 + 99_000).cursor() == LiveCursor(T0 + 99_000)


def test_live_S10_any_token_goes_on_with_neither_loss_nor_doubles() -> None:
    """From every message, on the other server, while posts go on."""

    async def story(stage: LiveStage) -> None:
        alice, bob, carol, star = await stage.people("alice", "bob", "carol", "star")
        await stage.make_pull(star)
        reader = stage.open(alice)
        await asyncio.sleep(1)
        posts = []
        for at in range(60):
            posts.append(await stage.post((bob, carol, star)[at % 3]))
            await asyncio.sleep((0.1, 0.4, 2.0, 0.0)[at % 4])
        await asyncio.sleep(5)
        whole = list(reader.messages)
        await reader.leave()
        assert sorted(reader.ids) == posts
        assert len(whole) > 10
        before: list[int] = []
        for message in whole:
            before += message.tweet_ids
            again = stage.open(alice, message.cursor, stage.two)
            await asyncio.sleep(2.5)
            await again.leave()
            assert sorted(before + again.ids) == posts

    tell(story)


def test_live_S10_a_token_is_bounded_and_then_repeats_rather_than_loses() -> None:
    progress = Progress(LiveCursor(T0))
    tweets = [ids.compose(T0 + at, 1, 0) for at in range(limits.STREAM_SENT_KEPT + 100)]
    for at in range(0, len(tweets), 100):
        progress.take(page_of(tweets[at : at + 100], 0))
    cursor = progress.cursor()
    assert cursor.sent == tuple(tweets[100:])
    assert progress.take(page_of(tweets, 0))[0] == []  # the stream itself knows all of them
    assert Progress(cursor).take(page_of(tweets, 0))[0] == list(range(len(tweets) - 1, len(tweets) - 101, -1))


def test_live_S11_four_streams_a_user() -> None:
    async def story(stage: LiveStage) -> None:
        alice, bob = await stage.people("alice", "bob")
        readers = [stage.open(alice) for _ in range(4)]
        await asyncio.sleep(1)
        with pytest.raises(TooManyStreams):
            await stage.open(alice).task
        other_user, other_server = stage.open(bob), stage.open(alice, server=stage.two)
        await readers[1].leave()
        again = stage.open(alice)
        await asyncio.sleep(1)
        assert all(one.messages for one in (other_user, other_server, again))
        assert stage.lives[stage.one].open_streams == 5

    tell(story)


def test_live_S12_a_stream_may_end_at_any_point() -> None:
    """Cut off again and again, also while a message is made or waits to be taken: the last one taken goes on."""

    async def story(stage: LiveStage) -> None:
        alice, bob, carol = await stage.people("alice", "bob", "carol")
        posts: list[int] = []

        async def write() -> None:
            for at in range(80):
                posts.append(await stage.post((bob, carol)[at % 2]))
                await asyncio.sleep(0.37)

        reader = stage.open(alice)
        await asyncio.sleep(1)
        writing = asyncio.create_task(write())
        seen, cursor = list(reader.ids), reader.cursor
        for at in range(120):
            await asyncio.sleep((0.0, 0.01, 0.13, 0.9, 0.31)[at % 5])
            await reader.leave()
            seen += reader.ids if at else []
            cursor = reader.cursor if reader.messages else cursor
            reader = stage.open(alice, cursor, (stage.one, stage.two)[at % 2])
        await writing
        await asyncio.sleep(5)
        assert sorted(seen + reader.ids) == posts

    tell(story)
