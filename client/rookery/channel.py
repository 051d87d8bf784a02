"""How the client's channels are set up; each option with its reason."""

from __future__ import annotations

import json
from typing import Any

import grpc

MESSAGE_BYTES = 4 * 1024 * 1024
METADATA_BYTES = 16 * 1024
PING_MS = 30_000
"""Servers refuse pings closer than 20 s."""
CALLS_PER_CONNECTION = 8
"""The server takes 16 streams a connection and its transport refuses the excess.  A stream still counts there for a
moment after its answer arrived here, so calls that follow a full set of answers at once count twice: half of 16 never
meets a refusal, 12 does in bursts (50 of 3,000 calls)."""

_SERVICE_CONFIG = json.dumps(
    {
        # every host of a headless service gets its share; the client's own retries thus meet another host
        "loadBalancingConfig": [{"round_robin": {}}],
    }
)


def options() -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        # No retry policy is configured (rookery.retry is the one owner of retries); this only lets the transport send
        # a stream again that the server refused before looking at it.
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.keepalive_time_ms", PING_MS),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.use_local_subchannel_pool", 1),  # several channels are several connections
    ]


def full_target(target: str) -> str:
    """`host:port` becomes `dns:///host:port`; a target with a scheme stays as it is."""
    return target if "://" in target or target.startswith(("unix:", "dns:", "ipv4:", "ipv6:")) else f"dns:///{target}"


def open_channel(target: str, tls: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(full_target(target), options=options())
    return grpc.aio.secure_channel(full_target(target), tls, options=options())
