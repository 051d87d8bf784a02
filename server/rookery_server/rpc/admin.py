"""AdminService."""

from __future__ import annotations

from rookery.v1 import admin_pb2 as pb
from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.rpc import convert
from rookery_server.services.admin import Admin, Lease, Marks, ShardStatus
from rookery_server.services.calls import Call


class AdminServicer:
    def __init__(self, admin: Admin):
        self._admin = admin

    async def GetOutboxStatus(self, request: pb.GetOutboxStatusRequest, call: Call) -> pb.GetOutboxStatusResponse:
        if request.days < 0:
            raise InvalidArgument(Violation("days", "not_negative", "must not be negative"))
        status = await self._admin.outbox(request.days)
        return pb.GetOutboxStatusResponse(
            shards=status.shards,
            held=status.held,
            checkpoint=convert.maybe_timestamp(status.checkpoint_ms),
            dead_letters=[
                pb.DeadLetter(shard=letter.shard, event_id=letter.event_id, error=letter.error, raw=letter.raw)
                for letter in status.dead
            ],
            more_dead_letters=status.more_dead,
        )

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
