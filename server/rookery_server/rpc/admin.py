"""AdminService."""

from __future__ import annotations

from rookery.v1 import admin_pb2 as pb
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.domain.fanout import Tier
from rookery_server.rpc import convert
from rookery_server.rpc.inspection import explanation, rebuilt, verification
from rookery_server.rpc.paging import Tokens
from rookery_server.rpc.users import own_account
from rookery_server.services.account_changes import AccountChanged
from rookery_server.services.admin import Admin, Lease, Marks, ShardStatus
from rookery_server.services.audience import Audience, TierStanding
from rookery_server.services.calls import Call
from rookery_server.services.inspection import HomeInspection
from rookery_server.services.moderation import Moderation
from rookery_server.services.tokens import user_token


class AdminServicer:
    def __init__(
        self,
        admin: Admin,
        moderation: Moderation,
        audience: Audience,
        homes: HomeInspection,
        tokens: Tokens,
        clock: Clock,
    ):
        self._admin, self._moderation, self._audience, self._homes = admin, moderation, audience, homes
        self._tokens, self._clock = tokens, clock

    async def GetOutboxStatus(self, request: pb.GetOutboxStatusRequest, call: Call) -> pb.GetOutboxStatusResponse:
        if request.days < 0:
            raise InvalidArgument(Violation("days", "not_negative", "must not be negative"))
        status = await self._admin.outbox(request.days)
        return pb.GetOutboxStatusResponse(
            shards=status.shards,
            held=status.held,
            checkpoint=convert.maybe_timestamp(status.checkpoint_ms),
            dead_letters=[
                pb.DeadLetter(
                    shard=letter.shard,
                    event_id=letter.event_id,
                    error=letter.error,
                    raw=letter.raw,
                    released=letter.event_id in status.released,
                )
                for letter in status.dead
            ],
            more_dead_letters=status.more_dead,
        )

    async def ReleaseDeadLetters(
        self, request: pb.ReleaseDeadLettersRequest, call: Call
    ) -> pb.ReleaseDeadLettersResponse:
        await self._admin.release(request.event_ids)
        return pb.ReleaseDeadLettersResponse()

    async def ListShards(self, request: pb.ListShardsRequest, call: Call) -> pb.ListShardsResponse:
        return pb.ListShardsResponse(shards=[_shard(status) for status in await self._admin.shards()])

    async def ListLeases(self, request: pb.ListLeasesRequest, call: Call) -> pb.ListLeasesResponse:
        return pb.ListLeasesResponse(leases=[_lease(lease) for lease in await self._admin.leases()])

    async def ListWatermarks(self, request: pb.ListWatermarksRequest, call: Call) -> pb.ListWatermarksResponse:
        status = await self._admin.watermarks()
        return pb.ListWatermarksResponse(
            nodes=[_node(node, marks) for node, marks in sorted(status.nodes.items())],
            claim=convert.maybe_timestamp(status.claim_ms),
        )

    async def ListAuthorTiers(self, request: pb.ListAuthorTiersRequest, call: Call) -> pb.ListAuthorTiersResponse:
        return pb.ListAuthorTiersResponse(
            tiers=[author_tier(of) for of in await self._audience.tiers(tuple(request.author_ids))]
        )

    async def SuspendUser(self, request: pb.SuspendUserRequest, call: Call) -> pb.SuspendUserResponse:
        changed = await self._moderation.suspend(call, request.user_id)
        return pb.SuspendUserResponse(
            user=own_account(changed), settled=changed.settled, consistency_token=self._token(changed)
        )

    async def UnsuspendUser(self, request: pb.UnsuspendUserRequest, call: Call) -> pb.UnsuspendUserResponse:
        changed = await self._moderation.unsuspend(call, request.user_id)
        return pb.UnsuspendUserResponse(
            user=own_account(changed), settled=changed.settled, consistency_token=self._token(changed)
        )

    async def RecountUser(self, request: pb.RecountUserRequest, call: Call) -> pb.RecountUserResponse:
        return pb.RecountUserResponse(counts=convert.user_counts(await self._audience.recount(request.user_id)))

    async def VerifyHomeTimeline(
        self, request: pb.VerifyHomeTimelineRequest, call: Call
    ) -> pb.VerifyHomeTimelineResponse:
        return verification(await self._homes.verify(call, request.user_id))

    async def ExplainHomeTimeline(
        self, request: pb.ExplainHomeTimelineRequest, call: Call
    ) -> pb.ExplainHomeTimelineResponse:
        found = await self._homes.explain(call, request.user_id, request.tweet_id)
        return explanation(found, author_tier(found.tier) if found.tier else None)

    async def RebuildHomeTimeline(
        self, request: pb.RebuildHomeTimelineRequest, call: Call
    ) -> pb.RebuildHomeTimelineResponse:
        return rebuilt(await self._homes.rebuild(call, request.user_id))

    def _token(self, changed: AccountChanged) -> str:
        return self._tokens.of_write(user_token(changed.user.id, self._clock.now_ms()))


_TIERS = {
    Tier.PUSH: pb.DELIVERY_TIER_PUSH,
    Tier.BROAD: pb.DELIVERY_TIER_BROAD,
    Tier.PULL: pb.DELIVERY_TIER_PULL,
}


def author_tier(of: TierStanding) -> pb.AuthorTier:
    return pb.AuthorTier(
        author_id=of.author_id,
        tier=_TIERS[of.tier],
        followers=of.followers,
        merged=of.merged,
        delivered=of.delivered,
        switch_time=convert.maybe_timestamp(of.switch_ms),
    )


def _lease(of: Lease) -> pb.Lease:
    return pb.Lease(
        name=of.name,
        owner=of.owner,
        fence=of.fence,
        renewals=of.renewals,
        ceiling=convert.maybe_timestamp(of.ceiling_ms),
    )


def _shard(of: ShardStatus) -> pb.Shard:
    return pb.Shard(
        shard=of.shard,
        lease=_lease(of.lease) if of.lease is not None else None,
        checkpoint=convert.maybe_timestamp(of.checkpoint_ms),
        checkpoint_fence=of.checkpoint_fence,
        watermark=convert.maybe_timestamp(of.watermark_ms),
        oldest_pending=convert.maybe_timestamp(of.oldest_pending_ms),
    )


def _node(node: str, marks: Marks | None) -> pb.NodeWatermarks:
    if marks is None:
        return pb.NodeWatermarks(node=node)
    return pb.NodeWatermarks(
        node=node,
        reachable=True,
        known=marks.known,
        watermarks=[
            pb.ShardWatermark(shard=shard, watermark=convert.timestamp(ms)) for shard, ms in sorted(marks.marks.items())
        ],
        flush_time=convert.maybe_timestamp(marks.flushed_ms),
    )
