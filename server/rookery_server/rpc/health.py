"""gRPC health on a listener of its own: plaintext (kubelet probes speak no TLS), and it serves nothing else.

Names: the full name of each service, `startup`, `live`, `ready`, and the empty name, which is `ready`.  `live` is
answered by the loop itself: that an answer comes at all is what it says.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

STARTUP, LIVE, READY, WHOLE = "startup", "live", "ready", ""
_Status = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """NOT_SERVING but for `live` until told otherwise."""

    def __init__(self, services: Iterable[str]):
        self._following_ready = (READY, WHOLE, *services)
        self._servicer = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._draining = False

    async def start(self, address: str) -> int:
        """Listens; returns the port.  Raises OSError when the address is taken."""
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        port = listen(server, address, None)
        await self._set(LIVE, serving=True)
        await self.started(done=False)
        await self.ready(serving=False)
        await server.start()
        self._server = server
        return port

    async def started(self, *, done: bool = True) -> None:
        """Configuration valid, schema new enough, statements prepared."""
        await self._set(STARTUP, serving=done)

    async def ready(self, *, serving: bool) -> None:
        """This process's own state only; ignored once draining."""
        for name in self._following_ready:
            await self._set(name, serving=serving and not self._draining)

    async def drain(self) -> None:
        """Tells balancers to go elsewhere, for good."""
        self._draining = True
        await self.ready(serving=False)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _set(self, name: str, *, serving: bool) -> None:
        await self._servicer.set(name, _Status.SERVING if serving else _Status.NOT_SERVING)


def listen(server: grpc.aio.Server, address: str, tls: grpc.ServerCredentials | None) -> int:
    """Adds the address to the server; returns the port.  Raises OSError when it cannot be had."""
    try:
        port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
    except RuntimeError as error:  # grpc's word for every reason there is
        raise OSError(f"cannot listen on {address}: {error}") from error
    if port == 0:
        raise OSError(f"cannot listen on {address}")
    return port
