"""Calls about administration (scope `admin`)."""

from __future__ import annotations

from collections.abc import Iterable

from rookery.calls import Calls
from rookery.transport import CHANGE_S, INSPECT_S, LIST_S
from rookery.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    users_pb2,
)


class AdminCalls(Calls):
    async def outbox_status(self, *, days: int = 0, timeout_s: float = LIST_S) -> admin_pb2.GetOutboxStatusResponse:
        request, reply = admin_pb2.GetOutboxStatusRequest(days=days), admin_pb2.GetOutboxStatusResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "GetOutboxStatus", request, reply, timeout_s)

    async def release_dead_letters(
        self, event_ids: Iterable[int], *, timeout_s: float = LIST_S
    ) -> admin_pb2.ReleaseDeadLettersResponse:
        """Only after what they concern was mended: claims wait for them no longer."""
        request, reply = admin_pb2.ReleaseDeadLettersRequest(event_ids=event_ids), admin_pb2.ReleaseDeadLettersResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ReleaseDeadLetters", request, reply, timeout_s)

    async def list_shards(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListShardsResponse:
        request, reply = admin_pb2.ListShardsRequest(), admin_pb2.ListShardsResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListShards", request, reply, timeout_s)

    async def list_leases(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListLeasesResponse:
        request, reply = admin_pb2.ListLeasesRequest(), admin_pb2.ListLeasesResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListLeases", request, reply, timeout_s)

    async def list_watermarks(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListWatermarksResponse:
        request, reply = admin_pb2.ListWatermarksRequest(), admin_pb2.ListWatermarksResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListWatermarks", request, reply, timeout_s)

    async def verify_home(self, user_id: int, *, timeout_s: float = INSPECT_S) -> admin_pb2.VerifyHomeTimelineResponse:
        """Compares somebody's cached home with the truth."""
        request, reply = admin_pb2.VerifyHomeTimelineRequest(user_id=user_id), admin_pb2.VerifyHomeTimelineResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "VerifyHomeTimeline", request, reply, timeout_s)

    async def explain_home(
        self, user_id: int, tweet_id: int, *, timeout_s: float = INSPECT_S
    ) -> admin_pb2.ExplainHomeTimelineResponse:
        """Why a tweet is, or is not, in somebody's home."""
        request = admin_pb2.ExplainHomeTimelineRequest(user_id=user_id, tweet_id=tweet_id)
        reply = admin_pb2.ExplainHomeTimelineResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ExplainHomeTimeline", request, reply, timeout_s)

    async def rebuild_home(
        self, user_id: int, *, timeout_s: float = INSPECT_S
    ) -> admin_pb2.RebuildHomeTimelineResponse:
        request, reply = admin_pb2.RebuildHomeTimelineRequest(user_id=user_id), admin_pb2.RebuildHomeTimelineResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "RebuildHomeTimeline", request, reply, timeout_s)

    async def list_author_tiers(
        self, author_ids: Iterable[int] = (), *, timeout_s: float = LIST_S
    ) -> admin_pb2.ListAuthorTiersResponse:
        """Of these authors; of none: of everybody who is merged by readers, or was lately."""
        request, reply = admin_pb2.ListAuthorTiersRequest(author_ids=author_ids), admin_pb2.ListAuthorTiersResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListAuthorTiers", request, reply, timeout_s)

    async def suspend_user(self, user_id: int, *, timeout_s: float = CHANGE_S) -> admin_pb2.SuspendUserResponse:
        request, reply = admin_pb2.SuspendUserRequest(user_id=user_id), admin_pb2.SuspendUserResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "SuspendUser", request, reply, timeout_s)

    async def unsuspend_user(self, user_id: int, *, timeout_s: float = CHANGE_S) -> admin_pb2.UnsuspendUserResponse:
        request, reply = admin_pb2.UnsuspendUserRequest(user_id=user_id), admin_pb2.UnsuspendUserResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "UnsuspendUser", request, reply, timeout_s)

    async def recount_user(self, user_id: int, *, timeout_s: float = INSPECT_S) -> users_pb2.UserCounts:
        request, reply = admin_pb2.RecountUserRequest(user_id=user_id), admin_pb2.RecountUserResponse
        answer = await self._call(admin_pb2_grpc.AdminServiceStub, "RecountUser", request, reply, timeout_s)
        return answer.counts
