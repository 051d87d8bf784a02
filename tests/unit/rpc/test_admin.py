from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from rookery.v1 import admin_pb2 as pb
from rookery.v1 import admin_pb2_grpc, users_pb2
from rookery_server.cache.interface import Link, Marks
from rookery_server.domain.fanout import Tier
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.services.account_changes import AccountChanged
from rookery_server.services.admin import OutboxStatus, ShardStatus, WatermarksStatus
from rookery_server.services.audience import TierStanding
from rookery_server.services.user_counts import Counts
from rookery_server.store.interface import DeadLetter, Lease
from tests.unit.rpc.use_cases import Fakes, given

LEASE = Lease("shard/0", "w1", 3, 40, 1_700_000_030_000)


@pytest.fixture
def stub(fakes: Fakes) -> admin_pb2_grpc.AdminServiceAsyncStub:
    return fakes.stub(admin_pb2_grpc.AdminServiceStub)  # type: ignore[no-any-return]


async def test_outbox(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    dead = (DeadLetter(1, 99, b"\xff", "format version 9"),)
    fakes.admin.outbox.return_value = OutboxStatus(16, 15, None, dead, True)
    status = await stub.GetOutboxStatus(pb.GetOutboxStatusRequest(days=2))
    assert given(fakes.admin.outbox) == (2,)
    assert (status.shards, status.held, status.more_dead_letters) == (16, 15, True)
    assert not status.HasField("checkpoint")
    assert status.dead_letters[0] == pb.DeadLetter(shard=1, event_id=99, error="format version 9", raw=b"\xff")
    fakes.admin.outbox.return_value = OutboxStatus(16, 15, None, dead, False, frozenset({99}))
    assert (await stub.GetOutboxStatus(pb.GetOutboxStatusRequest())).dead_letters[0].released
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetOutboxStatus(pb.GetOutboxStatusRequest(days=-1))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_dead_letters_are_released(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    await stub.ReleaseDeadLetters(pb.ReleaseDeadLettersRequest(event_ids=[99, 98]))
    assert list(given(fakes.admin.release)[0]) == [99, 98]


async def test_shards_and_leases(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    fakes.admin.shards.return_value = (
        ShardStatus(0, LEASE, 1_700_000_000_000, 3, None, 1_700_000_001_000),
        ShardStatus(1, None, 0, 0, None, None),
    )
    fakes.admin.leases.return_value = (LEASE,)
    held, free = (await stub.ListShards(pb.ListShardsRequest())).shards
    assert (held.lease.owner, held.checkpoint.ToMilliseconds()) == ("w1", 1_700_000_000_000)
    assert held.watermark.ToMilliseconds() == 1_700_000_001_000
    assert not any(free.HasField(name) for name in ("lease", "checkpoint", "watermark", "oldest_pending"))
    (lease,) = (await stub.ListLeases(pb.ListLeasesRequest())).leases
    assert (lease.name, lease.fence, lease.renewals) == ("shard/0", 3, 40)
    assert lease.ceiling.ToMilliseconds() == 1_700_000_030_000


async def test_watermarks(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    marks = Marks(Link("n1", 1), True, {1: 1_700_000_000_000, 0: 1_700_000_001_000})
    fakes.admin.watermarks.return_value = WatermarksStatus({"n2": None, "n1": marks}, None)
    reply = await stub.ListWatermarks(pb.ListWatermarksRequest())
    up, down = reply.nodes
    assert (up.node, up.reachable, up.known) == ("n1", True, True)
    assert [(w.shard, w.watermark.ToMilliseconds()) for w in up.watermarks] == [
        (0, 1_700_000_001_000),
        (1, 1_700_000_000_000),
    ]
    assert (down.node, down.reachable, down.known) == ("n2", False, False)
    assert not reply.HasField("claim")


async def test_what_moderators_do(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    away = User(5, "ada", Profile(), 1_700_000_000_000, "e2", state=UserState.SUSPENDED)
    fakes.moderation.suspend.return_value = AccountChanged(away, settled=True)
    suspended = await stub.SuspendUser(pb.SuspendUserRequest(user_id=5))
    assert given(fakes.moderation.suspend)[1:] == (5,)
    assert (suspended.settled, suspended.user.state) == (True, users_pb2.USER_STATE_SUSPENDED)
    assert fakes.signer.consistency(suspended.consistency_token).ids == (5,)
    gone = replace(away, state=UserState.DEACTIVATED)
    fakes.moderation.unsuspend.return_value = AccountChanged(gone, settled=False)
    lifted = await stub.UnsuspendUser(pb.UnsuspendUserRequest(user_id=5))
    assert (lifted.settled, lifted.user.state) == (False, users_pb2.USER_STATE_DEACTIVATED)


async def test_audiences(fakes: Fakes, stub: admin_pb2_grpc.AdminServiceAsyncStub) -> None:
    fakes.audience.tiers.return_value = (
        TierStanding(1, Tier.PULL, 2_000_000, merged=True, delivered=False, switch_ms=1_700_000_000_000),
        TierStanding(2, Tier.PUSH, None, merged=False, delivered=True),
    )
    big, small = (await stub.ListAuthorTiers(pb.ListAuthorTiersRequest(author_ids=[1, 2]))).tiers
    assert given(fakes.audience.tiers) == ((1, 2),)
    assert (big.tier, big.followers, big.merged, big.delivered) == (pb.DELIVERY_TIER_PULL, 2_000_000, True, False)
    assert big.switch_time.ToMilliseconds() == 1_700_000_000_000
    assert (small.tier, small.delivered) == (pb.DELIVERY_TIER_PUSH, True)
    assert not any(small.HasField(name) for name in ("followers", "switch_time"))
    fakes.audience.recount.return_value = Counts(3, 2, 1)
    counts = (await stub.RecountUser(pb.RecountUserRequest(user_id=5))).counts
    assert (counts.followers, counts.following, counts.tweets) == (3, 2, 1)
