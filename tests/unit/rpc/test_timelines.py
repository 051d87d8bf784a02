from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from rookery import errors as client_errors
from rookery.v1 import timelines_pb2 as pb
from rookery.v1 import timelines_pb2_grpc
from rookery_server.domain.frames import frame
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.models import Profile, Tweet, User
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.rpc.convert import ProtoTweetCodec
from rookery_server.services.live import LiveMessage
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage
from rookery_server.services.users import ShownUser
from tests.unit.rpc.use_cases import AS_5, AS_6, Fakes, given

CODEC = ProtoTweetCodec()
TWEETS = tuple(Tweet(id_, author, f"t{id_}", 1_700_000_000_000) for id_, author in ((9, 1), (8, 2), (7, 1)))
NEWER = NewerCursor(9, 1_700_000_000_000)


def page(next_cursor: PageCursor | None, newer: NewerCursor | None = None) -> TimelinePage:
    return TimelinePage(
        bodies=tuple(frame(CODEC.encode(tweet)) for tweet in TWEETS),
        tweet_ids=tuple(tweet.id for tweet in TWEETS),
        author_ids=tuple(tweet.author_id for tweet in TWEETS),
        next_cursor=next_cursor,
        newer_cursor=newer,
        info=PageInfo(PageSource.LIST, next_cursor is None, 1_700_000_000_000, hidden=2),
    )


@pytest.fixture
def stub(fakes: Fakes) -> timelines_pb2_grpc.TimelineServiceAsyncStub:
    return fakes.stub(timelines_pb2_grpc.TimelineServiceStub)  # type: ignore[no-any-return]


async def test_a_home_page_and_the_ways_on(fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub) -> None:
    fakes.home.page.return_value = page(PageCursor(7, 0, 3), NEWER)
    first = await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_size=3), metadata=AS_5)
    assert [tweet.text for tweet in first.tweets] == ["t9", "t8", "t7"]
    assert (first.info.source, first.info.hidden_by_rules) == (pb.PAGE_SOURCE_LIST, 2)
    assert not first.users
    await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_token=first.next_page_token), metadata=AS_5)
    assert given(fakes.home.page)[1:] == (0, PageCursor(7, 0, 3), None, False)
    await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(newer_token=first.newer_token), metadata=AS_5)
    assert given(fakes.home.page)[1:] == (0, NEWER, None, False)


async def test_authors_come_once_each(fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub) -> None:
    fakes.home.page.return_value = page(None)
    fakes.users.of_page.return_value = (ShownUser(User(1, "one", Profile(), 1, "e")),)
    reply = await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(include_users=True), metadata=AS_5)
    call, authors = given(fakes.users.of_page)
    assert (call.caller_id, set(authors)) == (5, {1, 2})
    assert [user.username for user in reply.users] == ["one"]
    assert (reply.next_page_token, reply.newer_token, reply.info.end_of_history) == ("", "", True)


async def test_a_profile_page(fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub) -> None:
    fakes.user_timelines.page.return_value = page(PageCursor(7))
    request = pb.GetUserTimelineRequest(user_id=1, page_size=3, exclude_replies=True)
    first = await stub.GetUserTimeline(request)
    assert [tweet.id for tweet in first.tweets] == [9, 8, 7]
    request.page_token = first.next_page_token
    await stub.GetUserTimeline(request)
    call, *rest = given(fakes.user_timelines.page)
    assert call.caller_id == 0
    assert rest == [1, 3, PageCursor(7), True, None]


async def test_the_choice_of_replies_is_a_part_of_the_query(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    fakes.home.page.return_value = page(PageCursor(7), NEWER)
    known = pb.GetHomeTimelineRequest(only_known_replies=True)
    first = await stub.GetHomeTimeline(known, metadata=AS_5)
    assert given(fakes.home.page)[1:] == (0, None, None, True)
    for request in (
        pb.GetHomeTimelineRequest(page_token=first.next_page_token),
        pb.GetHomeTimelineRequest(newer_token=first.newer_token),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetHomeTimeline(request, metadata=AS_5)
        assert client_errors.from_rpc(caught.value).reason == "INVALID_TOKEN"
        request.only_known_replies = True
        await stub.GetHomeTimeline(request, metadata=AS_5)


LIVE = LiveCursor(1_700_000_000_000, (7, 8))
LIVE_INFO = PageInfo(PageSource.LIST, False, 1_700_000_000_000)


def live(fakes: Fakes, *messages: LiveMessage) -> list[tuple[Any, ...]]:
    """Scripts one stream; returns what each was opened with."""
    opened: list[tuple[Any, ...]] = []

    async def stream(*given: Any) -> AsyncGenerator[LiveMessage, None]:
        opened.append(given)
        for message in messages:
            yield message

    fakes.live.stream = stream
    return opened


async def test_a_live_home(fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub) -> None:
    bodies = tuple(frame(CODEC.encode(tweet)) for tweet in TWEETS[::-1])
    sent = LiveMessage(bodies, (7, 8, 9), (1, 2, 1), LIVE, LIVE_INFO)
    opened = live(fakes, sent, LiveMessage((), (), (), LIVE, LIVE_INFO))
    fakes.users.of_page.return_value = (ShownUser(User(1, "one", Profile(), 1, "e")),)
    request = pb.StreamHomeTimelineRequest(include_users=True, only_known_replies=True)
    first, heartbeat = [message async for message in stub.StreamHomeTimeline(request, metadata=AS_5)]
    assert [tweet.text for tweet in first.tweets] == ["t7", "t8", "t9"]
    assert [user.username for user in first.users] == ["one"]
    assert first.info.complete_through.ToMilliseconds() == LIVE_INFO.complete_through_ms
    assert (len(heartbeat.tweets), bool(heartbeat.resume_token)) == (0, True)
    ((call, position, known),) = opened
    assert (call.caller_id, position, known) == (5, None, True)


async def test_a_live_home_goes_on_by_its_own_token_and_by_that_of_a_page(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    opened = live(fakes, LiveMessage((), (), (), LIVE, LIVE_INFO))
    fakes.home.page.return_value = page(PageCursor(7), NEWER)
    newer = (await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(), metadata=AS_5)).newer_token
    (message,) = [m async for m in stub.StreamHomeTimeline(pb.StreamHomeTimelineRequest(), metadata=AS_5)]
    for request in (
        pb.StreamHomeTimelineRequest(resume_token=message.resume_token),
        pb.StreamHomeTimelineRequest(newer_token=newer),
    ):
        assert [m async for m in stub.StreamHomeTimeline(request, metadata=AS_5)] == [message]
    assert [position for _, position, _ in opened] == [None, LIVE, NEWER]


async def test_tokens_of_streams_serve_one_reader_one_choice(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    opened = live(fakes, LiveMessage((), (), (), LIVE, LIVE_INFO))
    (message,) = [m async for m in stub.StreamHomeTimeline(pb.StreamHomeTimelineRequest(), metadata=AS_5)]
    token = message.resume_token
    for foreign in (
        stub.StreamHomeTimeline(pb.StreamHomeTimelineRequest(resume_token=token), metadata=AS_6),
        stub.StreamHomeTimeline(pb.StreamHomeTimelineRequest(newer_token=token), metadata=AS_5),
        stub.StreamHomeTimeline(
            pb.StreamHomeTimelineRequest(resume_token=token, only_known_replies=True), metadata=AS_5
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(foreign))
        assert client_errors.from_rpc(caught.value).reason == "INVALID_TOKEN"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(newer_token=token), metadata=AS_5)
    assert client_errors.from_rpc(refused.value).reason == "INVALID_TOKEN"
    assert len(opened) == 1


async def test_tokens_serve_one_reader_one_query(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    fakes.home.page.return_value = page(PageCursor(7), NEWER)
    fakes.user_timelines.page.return_value = page(PageCursor(7))
    home = await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(), metadata=AS_5)
    profile = await stub.GetUserTimeline(pb.GetUserTimelineRequest(user_id=1))
    before = len(fakes.home.page.await_args_list), len(fakes.user_timelines.page.await_args_list)
    for foreign in (
        stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_token=home.next_page_token), metadata=AS_6),
        stub.GetHomeTimeline(pb.GetHomeTimelineRequest(newer_token=home.newer_token), metadata=AS_6),
        stub.GetHomeTimeline(pb.GetHomeTimelineRequest(newer_token=home.next_page_token), metadata=AS_5),
        stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_token=profile.next_page_token), metadata=AS_5),
        stub.GetUserTimeline(pb.GetUserTimelineRequest(user_id=2, page_token=profile.next_page_token)),
        stub.GetUserTimeline(
            pb.GetUserTimelineRequest(user_id=1, exclude_replies=True, page_token=profile.next_page_token)
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await foreign
        error = client_errors.from_rpc(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_TOKEN")
    assert (len(fakes.home.page.await_args_list), len(fakes.user_timelines.page.await_args_list)) == before


async def test_no_byte_of_a_token_can_be_changed(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    fakes.home.page.return_value = page(PageCursor(7))
    token = (await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(), metadata=AS_5)).next_page_token
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at in range(len(raw)):
        changed = raw.copy()
        changed[at] ^= 1
        altered = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_token=altered), metadata=AS_5)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(fakes.home.page.await_args_list) == 1


async def test_a_page_at_its_largest_fits_a_reply(
    fakes: Fakes, stub: timelines_pb2_grpc.TimelineServiceAsyncStub
) -> None:
    largest = Tweet(9, 1, "宙" * 1365, 1_700_000_000_000, media=("m" * 1000,) * 4)
    body = frame(CODEC.encode(largest))
    info = PageInfo(PageSource.LIST, True, 0)
    fakes.home.page.return_value = TimelinePage((body,) * 100, (9,) * 100, (1,) * 100, None, None, info)
    reply = await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(page_size=100), metadata=AS_5)
    assert len(reply.tweets) == 100
