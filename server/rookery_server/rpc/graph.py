"""GraphService."""

from __future__ import annotations

from rookery.v1 import graph_pb2 as pb
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Scope, Tokens
from rookery_server.rpc.users import shown_users
from rookery_server.services.calls import Call
from rookery_server.services.graph import Graph
from rookery_server.services.users import Users


class GraphServicer:
    def __init__(self, graph: Graph, users: Users, tokens: Tokens):
        self._graph, self._users, self._tokens = graph, users, tokens

    # --- edges ------------------------------------------------------------------------------------------------------

    async def Follow(self, request: pb.FollowRequest, call: Call) -> pb.FollowResponse:
        changed = await self._graph.follow(call, request.user_id)
        token = self._tokens.of_write(changed.token)
        return pb.FollowResponse(consistency_token=token, requested=changed.requested)

    async def Unfollow(self, request: pb.UnfollowRequest, call: Call) -> pb.UnfollowResponse:
        changed = await self._graph.unfollow(call, request.user_id)
        return pb.UnfollowResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def ListFollowing(self, request: pb.ListFollowingRequest, call: Call) -> pb.ListFollowingResponse:
        token = self._tokens.consistency(request.consistency_token)
        scope = Scope("ListFollowing", request.user_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_following(call, request.user_id, request.page_size, cursor, token)
        ids = [edge.followee_id for edge in page.edges]
        return pb.ListFollowingResponse(
            edges=[
                pb.FollowEdge(user_id=edge.followee_id, follow_time=convert.timestamp(edge.version_us // 1000))
                for edge in page.edges
            ],
            users=await shown_users(self._users, call, ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    async def ListFollowers(self, request: pb.ListFollowersRequest, call: Call) -> pb.ListFollowersResponse:
        token = self._tokens.consistency(request.consistency_token)
        scope = Scope("ListFollowers", request.user_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_followers(call, request.user_id, request.page_size, cursor, token)
        return pb.ListFollowersResponse(
            follower_ids=page.follower_ids,
            users=await shown_users(self._users, call, page.follower_ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    async def GetRelationship(self, request: pb.GetRelationshipRequest, call: Call) -> pb.GetRelationshipResponse:
        self._tokens.consistency(request.consistency_token)
        found = await self._graph.relationship(call, request.user_id)
        return pb.GetRelationshipResponse(relationship=convert.relationship(found))

    async def BatchGetRelationships(
        self, request: pb.BatchGetRelationshipsRequest, call: Call
    ) -> pb.BatchGetRelationshipsResponse:
        self._tokens.consistency(request.consistency_token)
        found = await self._graph.relationships(call, request.user_ids) if request.user_ids else {}
        return pb.BatchGetRelationshipsResponse(
            results=[
                pb.RelationshipResult(user_id=user_id, relationship=convert.relationship(one))
                for user_id, one in found.items()
            ]
        )

    # --- blocks and mutes -------------------------------------------------------------------------------------------

    async def Block(self, request: pb.BlockRequest, call: Call) -> pb.BlockResponse:
        changed = await self._graph.block(call, request.user_id)
        return pb.BlockResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def Unblock(self, request: pb.UnblockRequest, call: Call) -> pb.UnblockResponse:
        changed = await self._graph.unblock(call, request.user_id)
        return pb.UnblockResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def Mute(self, request: pb.MuteRequest, call: Call) -> pb.MuteResponse:
        until_ms = convert.time_given(request.expire_time, "expire_time") if request.HasField("expire_time") else 0
        changed = await self._graph.mute(call, request.user_id, until_ms)
        return pb.MuteResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def Unmute(self, request: pb.UnmuteRequest, call: Call) -> pb.UnmuteResponse:
        changed = await self._graph.unmute(call, request.user_id)
        return pb.UnmuteResponse(settled=changed.settled, consistency_token=self._tokens.of_write(changed.token))

    async def ListBlocks(self, request: pb.ListBlocksRequest, call: Call) -> pb.ListBlocksResponse:
        self._tokens.consistency(request.consistency_token)
        scope = Scope("ListBlocks", call.caller_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_blocks(call, request.page_size, cursor)
        ids = [block.blocked_id for block in page.blocks]
        return pb.ListBlocksResponse(
            blocks=[
                pb.BlockedAccount(user_id=block.blocked_id, block_time=convert.timestamp(block.version_us // 1000))
                for block in page.blocks
            ],
            users=await shown_users(self._users, call, ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    async def ListMutes(self, request: pb.ListMutesRequest, call: Call) -> pb.ListMutesResponse:
        self._tokens.consistency(request.consistency_token)
        scope = Scope("ListMutes", call.caller_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_mutes(call, request.page_size, cursor)
        return pb.ListMutesResponse(
            mutes=[
                pb.MutedAccount(
                    user_id=mute.muted_id,
                    mute_time=convert.timestamp(mute.version_us // 1000),
                    expire_time=convert.maybe_timestamp(mute.until_ms),
                )
                for mute in page.mutes
            ],
            users=await shown_users(self._users, call, [mute.muted_id for mute in page.mutes])
            if request.include_users
            else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )

    # --- follow requests --------------------------------------------------------------------------------------------

    async def ApproveFollow(self, request: pb.ApproveFollowRequest, call: Call) -> pb.ApproveFollowResponse:
        changed = await self._graph.approve(call, request.user_id)
        return pb.ApproveFollowResponse(consistency_token=self._tokens.of_write(changed.token))

    async def DenyFollow(self, request: pb.DenyFollowRequest, call: Call) -> pb.DenyFollowResponse:
        changed = await self._graph.deny(call, request.user_id)
        return pb.DenyFollowResponse(consistency_token=self._tokens.of_write(changed.token))

    async def ListFollowRequests(
        self, request: pb.ListFollowRequestsRequest, call: Call
    ) -> pb.ListFollowRequestsResponse:
        self._tokens.consistency(request.consistency_token)
        scope = Scope("ListFollowRequests", call.caller_id)
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._graph.list_follow_requests(call, request.page_size, cursor)
        ids = [one.requester_id for one in page.requests]
        return pb.ListFollowRequestsResponse(
            requests=[
                pb.FollowRequester(user_id=one.requester_id, request_time=convert.timestamp(one.version_us // 1000))
                for one in page.requests
            ],
            users=await shown_users(self._users, call, ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
        )
