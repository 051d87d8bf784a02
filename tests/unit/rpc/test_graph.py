from __future__ import annotations

import grpc
import pytest

from rookery import errors as client_errors
from rookery.v1 import graph_pb2, graph_pb2_grpc
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute, Profile, User
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.graph import (
    BlocksPage,
    EdgeChanged,
    FollowersList,
    FollowingPage,
    FollowRequestsList,
    MutesPage,
    Relationship,
)
from rookery_server.services.tokens import edge_token
from rookery_server.services.users import ShownUser
from tests.unit.rpc.use_cases import AS_5, AS_6, Fakes, given

TOKEN = edge_token(5, 6, 1_700_000_000_000)
CURSOR = PageCursor(6, 1_700_000_000_000_000)


@pytest.fixture
def stub(fakes: Fakes) -> graph_pb2_grpc.GraphServiceAsyncStub:
    return fakes.stub(graph_pb2_grpc.GraphServiceStub)  # type: ignore[no-any-return]


async def test_follow_and_unfollow(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.follow.return_value = EdgeChanged(True, TOKEN)
    fakes.graph.unfollow.return_value = EdgeChanged(False, TOKEN)
    followed = await stub.Follow(graph_pb2.FollowRequest(user_id=6), metadata=AS_5)
    unfollowed = await stub.Unfollow(graph_pb2.UnfollowRequest(user_id=6), metadata=AS_5)
    assert fakes.signer.consistency(followed.consistency_token) == TOKEN
    assert fakes.signer.consistency(unfollowed.consistency_token) == TOKEN
    assert unfollowed.settled is False
    assert [given(use)[0].caller_id for use in (fakes.graph.follow, fakes.graph.unfollow)] == [5, 5]


async def test_following_goes_on_where_it_ended(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.list_following.return_value = FollowingPage((Edge(5, 6, True, 1_700_000_000_123_456),), CURSOR)
    page = await stub.ListFollowing(graph_pb2.ListFollowingRequest(user_id=5, page_size=1))
    assert [(e.user_id, e.follow_time.ToMilliseconds()) for e in page.edges] == [(6, 1_700_000_000_123)]
    assert not page.users
    fakes.graph.list_following.return_value = FollowingPage((), None)
    request = graph_pb2.ListFollowingRequest(user_id=5, page_size=1, page_token=page.next_page_token)
    assert (await stub.ListFollowing(request)).next_page_token == ""
    assert given(fakes.graph.list_following)[1:] == (5, 1, CURSOR, None)


async def test_followers_with_their_accounts(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    ids = tuple(range(1, 251))
    fakes.graph.list_followers.return_value = FollowersList(ids, None)

    shown = tuple(ShownUser(User(i, f"u{i}", Profile(), 1, "e")) for i in ids if i != 7)
    fakes.users.of_page.return_value = shown
    page = await stub.ListFollowers(graph_pb2.ListFollowersRequest(user_id=5, page_size=1000, include_users=True))
    assert tuple(page.follower_ids) == ids
    assert [user.id for user in page.users] == [i for i in ids if i != 7]
    assert given(fakes.users.of_page)[1:] == (ids,)


async def test_a_token_serves_its_own_list_only(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.list_following.return_value = FollowingPage((), CURSOR)
    token = (await stub.ListFollowing(graph_pb2.ListFollowingRequest(user_id=5))).next_page_token
    for foreign in (
        stub.ListFollowing(graph_pb2.ListFollowingRequest(user_id=6, page_token=token)),
        stub.ListFollowers(graph_pb2.ListFollowersRequest(user_id=5, page_token=token)),
        stub.ListFollowing(graph_pb2.ListFollowingRequest(user_id=5, consistency_token=token)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await foreign
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_relationships(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.relationship.return_value = Relationship(6, following=True, followed_by=False)
    fakes.graph.relationships.return_value = {
        8: Relationship(8, following=False, followed_by=False),
        6: Relationship(6, following=True, followed_by=True),
    }
    one = await stub.GetRelationship(graph_pb2.GetRelationshipRequest(user_id=6), metadata=AS_5)
    assert one.relationship == graph_pb2.Relationship(user_id=6, following=True)
    many = await stub.BatchGetRelationships(graph_pb2.BatchGetRelationshipsRequest(user_ids=[8, 6]), metadata=AS_5)
    assert [result.user_id for result in many.results] == [8, 6]
    assert many.results[1].relationship == graph_pb2.Relationship(user_id=6, following=True, followed_by=True)
    none = await stub.BatchGetRelationships(graph_pb2.BatchGetRelationshipsRequest(), metadata=AS_5)
    assert not none.results


async def test_relationships_tell_everything(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    names = ("following", "followed_by", "blocking", "blocked_by", "muting", "requested", "requested_by")
    for name in names:
        fakes.graph.relationship.return_value = Relationship(6, **{name: True})
        found = (await stub.GetRelationship(graph_pb2.GetRelationshipRequest(user_id=6), metadata=AS_5)).relationship
        assert [other for other in names if getattr(found, other)] == [name]


async def test_a_protected_account_is_asked(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.follow.return_value = EdgeChanged(True, TOKEN, requested=True)
    assert (await stub.Follow(graph_pb2.FollowRequest(user_id=6), metadata=AS_5)).requested


@pytest.mark.parametrize("name", ["Block", "Unblock", "Mute", "Unmute"])
@pytest.mark.parametrize("settled", [True, False])
async def test_what_hides_and_shows_again(
    fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub, name: str, settled: bool
) -> None:
    use = getattr(fakes.graph, name.lower())
    use.return_value = EdgeChanged(settled, TOKEN)
    request = getattr(graph_pb2, f"{name}Request")(user_id=6)
    reply = await getattr(stub, name)(request, metadata=AS_5)
    assert (reply.settled, fakes.signer.consistency(reply.consistency_token)) == (settled, TOKEN)
    call, user_id, *_ = given(use)
    assert (call.caller_id, user_id) == (5, 6)


@pytest.mark.parametrize(("seconds", "until_ms"), [(None, 0), (2_000_000_000, 2_000_000_000_000), (0, 1), (-1, -1_000)])
async def test_a_mute_may_end_by_itself(
    fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub, seconds: int | None, until_ms: int
) -> None:
    fakes.graph.mute.return_value = EdgeChanged(True, TOKEN)
    request = graph_pb2.MuteRequest(user_id=6)
    if seconds is not None:
        request.expire_time.FromSeconds(seconds)  # sets the field for 0 as well, which must not mean "for ever"
    await stub.Mute(request, metadata=AS_5)
    assert given(fakes.graph.mute)[1:] == (6, until_ms)


@pytest.mark.parametrize(("seconds", "nanos"), [(1 << 62, 0), (-(1 << 62), 0), (5, -1), (5, 1_000_000_000)])
async def test_what_is_no_time_is_invalid(
    fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub, seconds: int, nanos: int
) -> None:
    request = graph_pb2.MuteRequest(user_id=6)
    request.expire_time.seconds, request.expire_time.nanos = seconds, nanos
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Mute(request, metadata=AS_5)
    assert [v.field for v in client_errors.from_rpc(caught.value).violations] == ["expire_time"]


async def test_requests_are_answered(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.approve.return_value = fakes.graph.deny.return_value = EdgeChanged(True, TOKEN)
    approved = await stub.ApproveFollow(graph_pb2.ApproveFollowRequest(user_id=6), metadata=AS_5)
    denied = await stub.DenyFollow(graph_pb2.DenyFollowRequest(user_id=7), metadata=AS_5)
    assert fakes.signer.consistency(approved.consistency_token) == TOKEN
    assert fakes.signer.consistency(denied.consistency_token) == TOKEN
    assert (given(fakes.graph.approve)[1], given(fakes.graph.deny)[1]) == (6, 7)


AT_US, AT_MS = 1_700_000_000_123_456, 1_700_000_000_123


async def test_blocks_are_listed(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.list_blocks.return_value = BlocksPage((Block(5, 6, True, AT_US),), CURSOR)
    fakes.users.of_page.return_value = (ShownUser(User(6, "six", Profile(), 1, "e")),)
    page = await stub.ListBlocks(graph_pb2.ListBlocksRequest(page_size=1, include_users=True), metadata=AS_5)
    assert [(b.user_id, b.block_time.ToMilliseconds()) for b in page.blocks] == [(6, AT_MS)]
    assert [user.username for user in page.users] == ["six"]
    await stub.ListBlocks(graph_pb2.ListBlocksRequest(page_token=page.next_page_token), metadata=AS_5)
    assert given(fakes.graph.list_blocks)[1:] == (0, CURSOR)


async def test_mutes_are_listed_with_their_ends(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    mutes = (Mute(5, 6, True, AT_US, AT_MS + 5), Mute(5, 7, True, AT_US))
    fakes.graph.list_mutes.return_value = MutesPage(mutes, CURSOR)
    page = await stub.ListMutes(graph_pb2.ListMutesRequest(), metadata=AS_5)
    assert [(m.user_id, m.HasField("expire_time")) for m in page.mutes] == [(6, True), (7, False)]
    assert page.mutes[0].expire_time.ToMilliseconds() == AT_MS + 5
    await stub.ListMutes(graph_pb2.ListMutesRequest(page_token=page.next_page_token), metadata=AS_5)
    assert given(fakes.graph.list_mutes)[1:] == (0, CURSOR)


async def test_requests_are_listed(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.list_follow_requests.return_value = FollowRequestsList((FollowRequest(5, 6, True, AT_US),), CURSOR)
    page = await stub.ListFollowRequests(graph_pb2.ListFollowRequestsRequest(page_size=1), metadata=AS_5)
    assert [(r.user_id, r.request_time.ToMilliseconds()) for r in page.requests] == [(6, AT_MS)]
    request = graph_pb2.ListFollowRequestsRequest(page_token=page.next_page_token)
    await stub.ListFollowRequests(request, metadata=AS_5)
    assert given(fakes.graph.list_follow_requests)[1:] == (0, CURSOR)


async def test_own_lists_are_nobody_elses_business(fakes: Fakes, stub: graph_pb2_grpc.GraphServiceAsyncStub) -> None:
    fakes.graph.list_blocks.return_value = BlocksPage((), CURSOR)
    token = (await stub.ListBlocks(graph_pb2.ListBlocksRequest(), metadata=AS_5)).next_page_token
    for call, code in (
        (stub.ListBlocks(graph_pb2.ListBlocksRequest(user_id=6), metadata=AS_5), "PERMISSION_DENIED"),
        (stub.ListMutes(graph_pb2.ListMutesRequest(user_id=6), metadata=AS_5), "PERMISSION_DENIED"),
        (stub.ListFollowRequests(graph_pb2.ListFollowRequestsRequest(user_id=6), metadata=AS_5), "PERMISSION_DENIED"),
        (stub.ListBlocks(graph_pb2.ListBlocksRequest(page_token=token), metadata=AS_6), "INVALID_TOKEN"),
        (stub.ListMutes(graph_pb2.ListMutesRequest(page_token=token), metadata=AS_5), "INVALID_TOKEN"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert client_errors.from_rpc(caught.value).reason == code
