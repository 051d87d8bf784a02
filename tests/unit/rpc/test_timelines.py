from __future__ import annotations

import base64

import grpc
import pytest

from rookery import errors as client_errors
from rookery.v1 import timelines_pb2 as pb
from rookery.v1 import timelines_pb2_grpc
from rookery_server.domain.frames import frame
from rookery_server.domain.models import Profile, Tweet, User
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.rpc.convert import ProtoTweetCodec
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
    assert given(fakes.home.page)[1:] == (0, PageCursor(7, 0, 3), None)
    await stub.GetHomeTimeline(pb.GetHomeTimelineRequest(newer_token=first.newer_token), metadata=AS_5)
    assert given(fakes.home.page)[1:] == (0, NEWER, None)


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
    assert rest == [1, 3, PageCursor(7), True]


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
