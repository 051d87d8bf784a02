"""What every call needs, once, from the outside in:

identify the call → count it → log it → map errors → deadline → authenticate → decode and validate → run.

The steps are built around each method's handler when the server is built, with everything that does not change bound
already; gRPC's own interceptors would be asked anew for each call.  Counting and logging stand outside the mapping of
errors, so the code they see is the code that is sent; what refuses a call stands inside, so that every refusal goes
through the one table.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import (
    DeadlineExceeded,
    DeadlineTooShort,
    Internal,
    InvalidArgument,
    Outcome,
    RookeryError,
    Violation,
)
from rookery_server.metrics import Metrics
from rookery_server.rpc import incoming, validation
from rookery_server.rpc.errors import DETAILS, Refusal, Refused, refusal_of
from rookery_server.rpc.identity import Identify, permit, permit_subject
from rookery_server.rpc.incoming import Incoming, Outgoing, Step
from rookery_server.rpc.methods import Method
from rookery_server.rpc.streams import OpenStreams
from rookery_server.services.calls import Call

Servicer = Callable[[Message, Call], Awaitable[Message | bytes]]
"""A method of a noun: request and call in, reply out; `bytes` when the reply was put together from stored bytes."""

READS_LOGGED = 0.01
"""Plain reads outnumber all else; errors and writes are logged without exception."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the steps use of the process."""

    metrics: Metrics
    identify: Identify
    clock: Clock
    chance: random.Random
    streams: OpenStreams


def _run(method: Method, servicer: Servicer, on: Surroundings) -> Step:
    outcome = Outcome.UNKNOWN if method.writes else Outcome.NONE

    async def run(call: Incoming) -> bytes:
        assert call.request is not None, "the step before decodes it"  # noqa: S101
        left = call.deadline - on.clock.monotonic()
        # what goes down is less, so that an answer made at the last moment still gets back in time
        spare = max(limits.DEADLINE_SPARE_S, left * limits.DEADLINE_SPARE_SHARE)
        down = incoming.passed_down(call, call.deadline - spare)
        try:
            async with asyncio.timeout(left):  # a write that has begun is shielded from this by its use case
                reply = await servicer(call.request, down)
        except TimeoutError:
            raise DeadlineExceeded("no answer in the time given", outcome=outcome) from None
        return reply if isinstance(reply, bytes) else reply.SerializeToString()

    return run


def _validate(method: Method, next_: Step, on: Surroundings) -> Step:
    id_fields = validation.id_fields(method.request)

    async def validate(call: Incoming) -> bytes:
        try:
            request = method.request.FromString(call.raw)
        except DecodeError as error:
            raise InvalidArgument(Violation("", "undecodable", "the request cannot be decoded")) from error
        validation.check_ids(request, id_fields, on.clock.now_ms())
        permit_subject(call.identity, method, request)
        call.request = request
        return await next_(call)

    return validate


def _authenticate(method: Method, next_: Step, on: Surroundings) -> Step:
    async def authenticate(call: Incoming) -> bytes:
        call.identity = on.identify(call.metadata)
        permit(call.identity, method)
        return await next_(call)

    return authenticate


def _keep_deadline(method: Method, next_: Step, on: Surroundings) -> Step:
    default = limits.WRITE_DEADLINE_S if method.writes else limits.READ_DEADLINE_S
    least = limits.MIN_WRITE_LEFT_S if method.writes else limits.MIN_READ_LEFT_S
    without = on.metrics.rpc(method.label).without_deadline
    too_short = on.metrics.deadline_refused("too_short_write" if method.writes else "too_short_read")
    expired = on.metrics.deadline_refused("expired")

    async def keep_deadline(call: Incoming) -> bytes:
        most = on.streams.age_s() if method.streams else limits.MAX_DEADLINE_S
        if call.asked_s is None:
            left = most if method.streams else default
            if not method.streams:
                without.inc()
        else:
            left = min(call.asked_s, most)
        if left < least:
            (too_short if left > 0 else expired).inc()
            raise DeadlineTooShort(f"{method.name} cannot finish in the time left")
        call.deadline = call.started + left
        return await next_(call)

    return keep_deadline


def _map_errors(method: Method, next_: Step) -> Step:
    log = structlog.get_logger("rookery.rpc")

    async def map_errors(call: Incoming) -> bytes:
        try:
            return await next_(call)
        except RookeryError as error:
            if isinstance(error, Internal):
                log.error("internal error", method=method.name, request_id=call.request_id, exc_info=error)
            raise Refused(refusal_of(error, call.request_id)) from error
        except Exception as error:  # a bug: whoever called must learn nothing of it but where to find it in the logs
            log.error("unexpected error", method=method.name, request_id=call.request_id, exc_info=error)
            outcome = Outcome.UNKNOWN if method.writes else Outcome.NONE
            raise Refused(refusal_of(Internal(outcome=outcome), call.request_id)) from error

    return map_errors


def _log(method: Method, next_: Step, on: Surroundings) -> Step:
    access = structlog.get_logger("rookery.access")

    def line(call: Incoming, code: str, reason: str, outcome: str, reply_bytes: int) -> None:
        access.info(
            "call",
            method=method.name,
            code=code,
            reason=reason,
            outcome=outcome,
            duration_ms=round((on.clock.monotonic() - call.started) * 1000, 2),
            deadline_ms=None if call.asked_s is None else round(call.asked_s * 1000),
            attempt=incoming.attempt(call.metadata),
            caller=call.identity.caller,
            acting_user=call.identity.user_id,
            request_id=call.request_id,
            reply_bytes=reply_bytes,
        )

    async def log(call: Incoming) -> bytes:
        try:
            reply = await next_(call)
        except Refused as refused:
            refusal = refused.refusal
            line(call, refusal.code.name, refusal.reason, refusal.outcome, call.streamed_bytes)
            raise
        except asyncio.CancelledError:
            line(call, _cancel_code(call, on), "", "unknown" if method.writes else "none", call.streamed_bytes)
            raise
        if method.writes or method.streams or on.chance.random() < READS_LOGGED:
            line(call, "OK", "", "ok", len(reply) or call.streamed_bytes)
        return reply

    return log


def _cancel_code(call: Incoming, on: Surroundings) -> str:
    over = incoming.cancelled_by_deadline(call, on.clock.monotonic())
    return "DEADLINE_EXCEEDED" if over else "CANCELLED"


def _count(method: Method, next_: Step, on: Surroundings) -> Step:
    bound = on.metrics.rpc(method.label)
    unknown = on.metrics.unknown_outcomes(_snake(method.name), "cassandra") if method.writes else None

    async def count(call: Incoming) -> bytes:
        bound.started.inc()
        bound.received.inc()
        bound.in_flight.inc()
        code = "UNKNOWN"
        try:
            reply = await next_(call)
            code = "OK"
            if not method.streams:  # those are counted as they are sent
                bound.sent.inc()
            return reply
        except Refused as refused:
            code = refused.refusal.code.name
            if unknown is not None and refused.refusal.outcome == Outcome.UNKNOWN.value:
                unknown.inc()
            raise
        except asyncio.CancelledError:
            code = _cancel_code(call, on)
            raise
        finally:
            bound.in_flight.dec()
            bound.handled[code].inc()
            bound.handling.observe(on.clock.monotonic() - call.started)

    return count


def _snake(name: str) -> str:
    """`CreateTweet` as the label `create_tweet`."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")


def refuse(context: incoming.Context, refusal: Refusal) -> bytes:
    """Ends the call with it: to be returned by the handler, since gRPC drops the reply of a call that is not OK.

    Not by `abort`: that ties the call into a reference cycle with its exception, so its stream stays open until the
    collector comes by, and a few dozen errors in a row use up the connection's streams.
    """
    context.set_code(refusal.code)
    context.set_details(refusal.message)
    context.set_trailing_metadata(((DETAILS, refusal.trailer),))
    return b""


def new_request_id(chance: random.Random) -> str:
    return f"{chance.getrandbits(64):016x}"


def handler(method: Method, servicer: Any, on: Surroundings) -> grpc.RpcMethodHandler[bytes, bytes]:
    """The handler gRPC gets: bytes in, bytes out, everything between is ours.  `servicer`: a `Servicer`, or of a method
    that streams, a `StreamServicer`."""
    run = on.streams.step(servicer, on.clock) if method.streams else _run(method, servicer, on)
    step = _keep_deadline(method, _authenticate(method, _validate(method, run, on), on), on)
    step = _count(method, _log(method, _map_errors(method, step), on), on)

    async def enter(raw: bytes, context: incoming.Context) -> bytes:
        call = _incoming(method, raw, context, on)
        try:
            return await step(call)
        except Refused as refused:
            return refuse(context, refused.refusal)

    async def enter_stream(raw: bytes, context: incoming.Context) -> None:
        call = _incoming(method, raw, context, on)
        call.out = Outgoing(context.write, on.metrics.rpc(method.label).sent)
        try:
            await step(call)
        except Refused as refused:
            refuse(context, refused.refusal)

    if method.streams:
        return grpc.unary_stream_rpc_method_handler(enter_stream)
    return grpc.unary_unary_rpc_method_handler(enter)


def _incoming(method: Method, raw: bytes, context: incoming.Context, on: Surroundings) -> Incoming:
    metadata = dict(context.invocation_metadata() or ())
    call = Incoming(
        method=method,
        raw=raw,
        metadata=metadata,
        request_id=incoming.given_id(metadata) or new_request_id(on.chance),
        started=on.clock.monotonic(),
        asked_s=context.time_remaining(),
    )
    structlog.contextvars.bind_contextvars(request_id=call.request_id)
    return call
