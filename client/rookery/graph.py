"""Calls about who follows, blocks and mutes whom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from rookery.calls import Calls, pages
from rookery.transport import LIST_S, READ_S, WRITE_S
from rookery.v1 import (
    graph_pb2,
    graph_pb2_grpc,
)


class GraphCalls(Calls):
    async def follow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.FollowResponse:
        request, reply = graph_pb2.FollowRequest(user_id=user_id), graph_pb2.FollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Follow", request, reply, timeout_s)

    async def unfollow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.UnfollowResponse:
        request, reply = graph_pb2.UnfollowRequest(user_id=user_id), graph_pb2.UnfollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Unfollow", request, reply, timeout_s)

    async def get_relationship(
        self, user_id: int, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> graph_pb2.Relationship:
        request = graph_pb2.GetRelationshipRequest(user_id=user_id, consistency_token=consistency_token)
        reply = graph_pb2.GetRelationshipResponse
        answer = await self._call(graph_pb2_grpc.GraphServiceStub, "GetRelationship", request, reply, timeout_s)
        return answer.relationship

    async def batch_get_relationships(
        self, user_ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, graph_pb2.Relationship | None]:
        request = graph_pb2.BatchGetRelationshipsRequest(user_ids=user_ids, consistency_token=consistency_token)
        reply = graph_pb2.BatchGetRelationshipsResponse
        answer = await self._call(graph_pb2_grpc.GraphServiceStub, "BatchGetRelationships", request, reply, timeout_s)
        return {r.user_id: r.relationship if r.HasField("relationship") else None for r in answer.results}

    async def list_following_page(
        self, request: graph_pb2.ListFollowingRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListFollowingResponse:
        reply = graph_pb2.ListFollowingResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListFollowing", request, reply, timeout_s)

    async def list_followers_page(
        self, request: graph_pb2.ListFollowersRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListFollowersResponse:
        reply = graph_pb2.ListFollowersResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListFollowers", request, reply, timeout_s)

    async def following(self, user_id: int, *, page_size: int = 0) -> AsyncIterator[graph_pb2.FollowEdge]:
        """Everybody `user_id` follows, the newest edge first."""

        async def read(token: str) -> graph_pb2.ListFollowingResponse:
            return await self.list_following_page(
                graph_pb2.ListFollowingRequest(user_id=user_id, page_size=page_size, page_token=token)
            )

        async for page in pages(read):
            for edge in page.edges:
                yield edge

    async def followers(self, user_id: int, *, page_size: int = 0) -> AsyncIterator[int]:
        """The ids of everybody who follows `user_id`, ascending."""

        async def read(token: str) -> graph_pb2.ListFollowersResponse:
            return await self.list_followers_page(
                graph_pb2.ListFollowersRequest(user_id=user_id, page_size=page_size, page_token=token)
            )

        async for page in pages(read):
            for follower_id in page.follower_ids:
                yield follower_id

    async def block(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.BlockResponse:
        """Ends the edges of both directions and hides each from the other."""
        request, reply = graph_pb2.BlockRequest(user_id=user_id), graph_pb2.BlockResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Block", request, reply, timeout_s)

    async def unblock(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.UnblockResponse:
        request, reply = graph_pb2.UnblockRequest(user_id=user_id), graph_pb2.UnblockResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Unblock", request, reply, timeout_s)

    async def mute(
        self, user_id: int, *, until: datetime | None = None, timeout_s: float = WRITE_S
    ) -> graph_pb2.MuteResponse:
        """Leaves the account out of the acting user's home; `until` (with a time zone): no longer than that."""
        request, reply = graph_pb2.MuteRequest(user_id=user_id), graph_pb2.MuteResponse
        if until is not None:
            if until.tzinfo is None:
                raise ValueError("a time without its zone could mean any hour")
            request.expire_time.FromDatetime(until)
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Mute", request, reply, timeout_s)

    async def unmute(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.UnmuteResponse:
        request, reply = graph_pb2.UnmuteRequest(user_id=user_id), graph_pb2.UnmuteResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Unmute", request, reply, timeout_s)

    async def approve_follow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.ApproveFollowResponse:
        """Makes somebody who asked a follower of the acting user."""
        request, reply = graph_pb2.ApproveFollowRequest(user_id=user_id), graph_pb2.ApproveFollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ApproveFollow", request, reply, timeout_s)

    async def deny_follow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.DenyFollowResponse:
        request, reply = graph_pb2.DenyFollowRequest(user_id=user_id), graph_pb2.DenyFollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "DenyFollow", request, reply, timeout_s)

    async def list_blocks_page(
        self, request: graph_pb2.ListBlocksRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListBlocksResponse:
        reply = graph_pb2.ListBlocksResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListBlocks", request, reply, timeout_s)

    async def blocks(self, *, page_size: int = 0) -> AsyncIterator[graph_pb2.BlockedAccount]:
        """Whom the acting user blocks, the newest first."""

        async def read(token: str) -> graph_pb2.ListBlocksResponse:
            return await self.list_blocks_page(graph_pb2.ListBlocksRequest(page_size=page_size, page_token=token))

        async for page in pages(read):
            for found in page.blocks:
                yield found

    async def list_mutes_page(
        self, request: graph_pb2.ListMutesRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListMutesResponse:
        reply = graph_pb2.ListMutesResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListMutes", request, reply, timeout_s)

    async def mutes(self, *, page_size: int = 0) -> AsyncIterator[graph_pb2.MutedAccount]:
        """Whom the acting user mutes now, the newest first."""

        async def read(token: str) -> graph_pb2.ListMutesResponse:
            return await self.list_mutes_page(graph_pb2.ListMutesRequest(page_size=page_size, page_token=token))

        async for page in pages(read):
            for found in page.mutes:
                yield found

    async def list_follow_requests_page(
        self, request: graph_pb2.ListFollowRequestsRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListFollowRequestsResponse:
        reply = graph_pb2.ListFollowRequestsResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListFollowRequests", request, reply, timeout_s)

    async def follow_requests(self, *, page_size: int = 0) -> AsyncIterator[graph_pb2.FollowRequester]:
        """Who asks to follow the acting user, by id."""

        async def read(token: str) -> graph_pb2.ListFollowRequestsResponse:
            return await self.list_follow_requests_page(
                graph_pb2.ListFollowRequestsRequest(page_size=page_size, page_token=token)
            )

        async for page in pages(read):
            for found in page.requests:
                yield found
