"""One call on its way in: what each step has found out so far."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from rookery_server.rpc.identity import Identity
from rookery_server.rpc.methods import Method

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(slots=True)
class Incoming:
    """`started` and `deadline` are on the injected monotonic clock, in seconds; `deadline` is the caller's own, capped.
    `asked_s`: the time the caller gave, None when it gave none."""

    method: Method
    raw: bytes
    metadata: Mapping[str, str | bytes]
    request_id: str
    started: float
    asked_s: float | None
    deadline: float = math.inf
    identity: Identity = field(default_factory=Identity)
    request: Message | None = None


Step = Callable[[Incoming], Awaitable[bytes]]
"""Answers the serialised reply or raises; a step is built around the next one, once, when the server is built."""

REQUEST_ID = "x-request-id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def given_id(metadata: Mapping[str, str | bytes]) -> str | None:
    """The caller's own id for this call, if it can go into a log and a header as it is."""
    text = metadata.get(REQUEST_ID)
    return text if isinstance(text, str) and _SAFE_ID.fullmatch(text) else None


def attempt(metadata: Mapping[str, str | bytes]) -> int:
    """1 for a first try.  gRPC clients that retry by service config count here (gRFC A6)."""
    text = metadata.get("grpc-previous-rpc-attempts", "0")
    return int(text) + 1 if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 3 else 1


def cancelled_by_deadline(call: Incoming, now: float) -> bool:
    """grpc cancels the handler both when its caller leaves and when the caller's time is over."""
    return call.asked_s is not None and now >= call.started + call.asked_s
