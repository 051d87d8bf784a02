from __future__ import annotations

import grpc
import pytest

from rookery.v1 import graph_pb2, graph_pb2_grpc
from rookery_server.domain.models import Edge, Profile, User
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.graph import EdgeChanged, FollowersList, FollowingPage, Relationship
from rookery_server.services.tokens import edge_token
from rookery_server.services.users import ShownUser
from tests.unit.rpc.use_cases import AS_5, Fakes, given

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
    assert given(fakes.graph.list_following) == (5, 1, CURSOR)


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
