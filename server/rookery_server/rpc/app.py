"""The gRPC server of one process: methods, limits, listener, drain."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha import reflection

from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.metrics import Metrics
from rookery_server.rpc import incoming, interceptors
from rookery_server.rpc.errors import UnknownMethod, refusal_of
from rookery_server.rpc.health import listen
from rookery_server.rpc.identity import Identify
from rookery_server.rpc.interceptors import Surroundings
from rookery_server.rpc.methods import SERVICES, BadContract, Method, method_of
from rookery_server.rpc.streams import DEFAULT_TIMES, OpenStreams, StreamTimes

# gRPC core arguments: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", limits.REQUEST_BYTES),
    ("grpc.max_send_message_length", limits.REPLY_BYTES),
    ("grpc.max_metadata_size", limits.METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", limits.METADATA_BYTES),
    # A connection's excess calls are refused by the transport, before Python sees them: what keeps goodput under
    # overload.  Our client keeps to 8 a connection.
    ("grpc.max_concurrent_streams", 16),
    # A silent TCP connection held a slot for 120 s by default.
    ("grpc.server_handshake_timeout_ms", 3_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # gRPC spreads it by 10 %.  Connections end so that balancers and headless DNS spread; calls under way may finish
    # (how long that may take is said where the server is built: a stream's life).
    ("grpc.max_connection_age_ms", 300_000),
    # Clients ping every 30 s; faster than every 20 s twice ends in GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.keepalive_permit_without_calls", 1),
    # Half-open connections are found within 80 s.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Two servers that share a port by accident would share its calls.
    ("grpc.so_reuseport", 0),
)


class NotOnLoopback(Exception):
    """A server that believes everybody may be reached from this machine only."""


class _Unknown(grpc.GenericRpcHandler):
    """Answers what nobody else does, so that this refusal has its ErrorInfo too."""

    def __init__(self, chance: random.Random):
        self._chance = chance

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    async def _refuse(self, raw: bytes, context: incoming.Context) -> bytes:
        request_id = interceptors.new_request_id(self._chance)
        return interceptors.refuse(context, refusal_of(UnknownMethod("no such method"), request_id))


class RpcServer:
    """`servicers`: full service name -> the object with a coroutine method for each of its methods.

    Building it raises BadContract when a method states no policy, or when nothing serves it.
    """

    def __init__(
        self,
        servicers: Mapping[str, object],
        *,
        metrics: Metrics,
        identify: Identify,
        clock: Clock,
        chance: random.Random,
        reflect: bool = True,
        services: Iterable[ServiceDescriptor] = SERVICES,
        streams: StreamTimes = DEFAULT_TIMES,
    ):
        self._trusting = identify.trusting
        self._streams = OpenStreams(streams, chance)
        on = Surroundings(metrics, identify, clock, chance, self._streams)
        # No call is older than a stream may grow: an old connection is cut only if it lingers beyond that.
        grace = ("grpc.max_connection_age_grace_ms", round((streams.max_age_s + limits.MAX_DEADLINE_S) * 1000))
        self._server = grpc.aio.server(options=(*OPTIONS, grace))
        names = []
        for service in services:
            handlers = {m.name: _handler(method_of(m), servicers, on) for m in service.methods}
            generic: Any = grpc.method_handlers_generic_handler(service.full_name, handlers)
            self._server.add_generic_rpc_handlers((generic,))
            names.append(service.full_name)
        if reflect:
            reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self._server.add_generic_rpc_handlers((_Unknown(chance),))  # last: it answers to every name

    async def start(self, address: str, tls: grpc.ServerCredentials | None = None) -> int:
        """Listens on `host:port`; returns the port.  Raises OSError, and NotOnLoopback in development mode."""
        if self._trusting and not _on_loopback(address):
            raise NotOnLoopback(f"development mode believes every caller: it does not listen on {address}")
        port = listen(self._server, address, tls)
        await self._server.start()
        return port

    async def stop(self, grace_s: float | None) -> None:
        """Ends streams, sends GOAWAY and lets calls under way finish within `grace_s`; None ends them now."""
        self._streams.drain()
        await self._server.stop(grace_s)

    async def wait(self) -> None:
        """Until it has stopped."""
        await self._server.wait_for_termination()


def _handler(method: Method, servicers: Mapping[str, object], on: Surroundings) -> grpc.RpcMethodHandler[bytes, bytes]:
    servicer = getattr(servicers.get(method.service), method.name, None)
    if servicer is None:
        raise BadContract(f"nothing serves {method.path}")
    return interceptors.handler(method, servicer, on)


def _on_loopback(address: str) -> bool:
    """`host:port` or `[host]:port`; a name other than localhost may resolve to anything."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
