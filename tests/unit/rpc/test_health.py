from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rookery_server.rpc.health import Health

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE = "rookery.v1.TweetService"


class Probe:
    def __init__(self, health: Health, channel: grpc.aio.Channel):
        self.health = health
        self._stub = health_pb2_grpc.HealthStub(channel)

    async def __call__(self, name: str) -> int:
        reply = await self._stub.Check(health_pb2.HealthCheckRequest(service=name))
        return int(reply.status)


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    health = Health([SERVICE])
    port = await health.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Probe(health, channel)
    await health.stop()


async def test_alive_from_the_first_moment_and_nothing_else(probe: Probe) -> None:
    states = {name: await probe(name) for name in ("live", "startup", "ready", "", SERVICE)}
    assert states.pop("live") == SERVING
    assert set(states.values()) == {NOT_SERVING}


async def test_services_follow_ready(probe: Probe) -> None:
    await probe.health.started()
    await probe.health.ready(serving=True)
    assert {await probe(name) for name in ("startup", "ready", "", SERVICE)} == {SERVING}
    await probe.health.ready(serving=False)
    assert {await probe(name) for name in ("ready", "", SERVICE)} == {NOT_SERVING}
    assert await probe("startup") == SERVING


async def test_draining_is_for_good(probe: Probe) -> None:
    await probe.health.ready(serving=True)
    await probe.health.drain()
    await probe.health.ready(serving=True)
    assert await probe("ready") == NOT_SERVING
    assert await probe("live") == SERVING


async def test_an_unknown_name_is_not_found(probe: Probe) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe("nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
