"""GraphService."""

from __future__ import annotations

from rookery.v1 import graph_pb2 as pb
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Scope, Tokens
from rookery_server.rpc.users import shown_users
from rookery_server.services.calls import Call
from rookery_server.services.graph import Graph, Relationship
from rookery_server.services.users import Users


class GraphServicer:
    def __init__(self, graph: Graph, users: Users, tokens: Tokens):
        self._graph, self._users, self._tokens = graph, users, tokens

    async def Follow(self, request: pb.FollowRequest, call: Call) -> pb.FollowResponse:
        changed = await self._graph.follow(call, request.user_id)
        return pb.FollowResponse(consistency_token=self._tokens.of_write(changed.token))

    async def Unfollow(self, request: pb.UnfollowRequest, call: Call) -> pb.UnfollowResponse:
        changed = await self._graph.unfollow(call, request.user_id)
        return pb.UnfollowResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def ListFollowing(self, request: pb.ListFollowingRequest, call: Call) -> pb.ListFollowingResponse:
        self._tokens.consistency(request.consistency_token)
        scope = Scope("ListFollowing", request.user_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_following(request.user_id, request.page_size, cursor)
        ids = [edge.followee_id for edge in page.edges]
        return pb.ListFollowingResponse(
            edges=[
                pb.FollowEdge(user_id=edge.followee_id, follow_time=convert.timestamp(edge.version_us // 1000))
                for edge in page.edges
            ],
            users=await shown_users(self._users, ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    async def ListFollowers(self, request: pb.ListFollowersRequest, call: Call) -> pb.ListFollowersResponse:
        self._tokens.consistency(request.consistency_token)
        scope = Scope("ListFollowers", request.user_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_followers(request.user_id, request.page_size, cursor)
        return pb.ListFollowersResponse(
            follower_ids=page.follower_ids,
            users=await shown_users(self._users, page.follower_ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    async def GetRelationship(self, request: pb.GetRelationshipRequest, call: Call) -> pb.GetRelationshipResponse:
        self._tokens.consistency(request.consistency_token)
        found = await self._graph.relationship(call, request.user_id)
        return pb.GetRelationshipResponse(relationship=_relationship(found))

    async def BatchGetRelationships(
        self, request: pb.BatchGetRelationshipsRequest, call: Call
    ) -> pb.BatchGetRelationshipsResponse:
        self._tokens.consistency(request.consistency_token)
        found = await self._graph.relationships(call, request.user_ids) if request.user_ids else {}
        return pb.BatchGetRelationshipsResponse(
            results=[
                pb.RelationshipResult(user_id=user_id, relationship=_relationship(one))
                for user_id, one in found.items()
            ]
        )


def _relationship(of: Relationship) -> pb.Relationship:
    return pb.Relationship(user_id=of.user_id, following=of.following, followed_by=of.followed_by)
