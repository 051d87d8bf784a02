"""One call on its way in: what each step has found out so far."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from rookery_server.metrics import Counter
from rookery_server.rpc.identity import ADMIN, BULK, Identity
from rookery_server.rpc.methods import Method
from rookery_server.services.calls import Call

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(slots=True)
class Outgoing:
    """The messages of a stream.  It does not know its call: a cycle of the two would hold the connection's stream until
    the collector comes by (decision 008)."""

    write: Callable[[bytes], Awaitable[None]]
    sent: Counter
    sent_bytes: int = 0

    async def send(self, message: bytes) -> None:
        """Returns when the transport has taken it."""
        await self.write(message)
        self.sent.inc()
        self.sent_bytes += len(message)


@dataclass(slots=True)
class Incoming:
    """`started` and `deadline` are on the injected monotonic clock, in seconds; `deadline` is the caller's own, capped.
    `asked_s`: the time the caller gave, None when it gave none.  `out`: of streams."""

    method: Method
    raw: bytes
    metadata: Mapping[str, str | bytes]
    request_id: str
    started: float
    asked_s: float | None
    deadline: float = math.inf
    identity: Identity = field(default_factory=Identity)
    request: Message | None = None
    out: Outgoing | None = None

    @property
    def streamed_bytes(self) -> int:
        return self.out.sent_bytes if self.out is not None else 0


Step = Callable[[Incoming], Awaitable[bytes]]
"""Answers the serialised reply (of a stream, which has been sent by then, nothing) or raises; a step is built around
the next one, once, when the server is built."""

REQUEST_ID = "x-request-id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def given_id(metadata: Mapping[str, str | bytes]) -> str | None:
    """The caller's own id for this call, if it can go into a log and a header as it is."""
    text = metadata.get(REQUEST_ID)
    return text if isinstance(text, str) and _SAFE_ID.fullmatch(text) else None


def passed_down(call: Incoming, deadline: float) -> Call:
    """What the use case is told of it."""
    who = call.identity
    admin = ADMIN in who.scopes and not who.user_id  # one who acts for a user sees what the user sees
    return Call(who.user_id, deadline, BULK in who.scopes, admin)


def attempt(metadata: Mapping[str, str | bytes]) -> int:
    """1 for a first try.  gRPC clients that retry by service config count here (gRFC A6)."""
    text = metadata.get("grpc-previous-rpc-attempts", "0")
    return int(text) + 1 if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 3 else 1


def cancelled_by_deadline(call: Incoming, now: float) -> bool:
    """grpc cancels the handler both when its caller leaves and when the caller's time is over."""
    return call.asked_s is not None and now >= call.started + call.asked_s
