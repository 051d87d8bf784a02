"""The one table from a domain error to what is sent: status code, reason, details.

Only what is written in `RookeryError.public` ever reaches a caller.  The details are google.rpc types, in the trailer
that gRPC libraries of every language look for (https://google.aip.dev/193).
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rookery_server.domain import errors as e

DOMAIN = "rookery"
DETAILS = "grpc-status-details-bin"


class UnknownMethod(e.RookeryError):
    """No such method.  Below the transport nobody can meet it, so it is declared here."""

    reason = "UNIMPLEMENTED"


Code = grpc.StatusCode
CODES: dict[type[e.RookeryError], grpc.StatusCode] = {
    e.RookeryError: Code.INTERNAL,
    e.InvalidArgument: Code.INVALID_ARGUMENT,
    e.InvalidText: Code.INVALID_ARGUMENT,
    e.InvalidToken: Code.INVALID_ARGUMENT,
    e.Unauthenticated: Code.UNAUTHENTICATED,
    e.PermissionDenied: Code.PERMISSION_DENIED,
    e.AccountInactive: Code.PERMISSION_DENIED,
    e.NotFound: Code.NOT_FOUND,
    e.AlreadyExists: Code.ALREADY_EXISTS,
    e.UsernameTaken: Code.ALREADY_EXISTS,
    e.RequestIdReused: Code.ALREADY_EXISTS,
    e.FailedPrecondition: Code.FAILED_PRECONDITION,
    e.FollowLimitReached: Code.FAILED_PRECONDITION,
    e.Aborted: Code.ABORTED,
    e.StaleEtag: Code.ABORTED,
    e.ResourceExhausted: Code.RESOURCE_EXHAUSTED,
    e.RateLimited: Code.RESOURCE_EXHAUSTED,
    e.TooManyStreams: Code.RESOURCE_EXHAUSTED,
    e.SlowConsumer: Code.RESOURCE_EXHAUSTED,
    e.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    e.DeadlineTooShort: Code.DEADLINE_EXCEEDED,
    e.Unavailable: Code.UNAVAILABLE,
    e.StoreUnavailable: Code.UNAVAILABLE,
    e.CacheUnavailable: Code.UNAVAILABLE,
    e.CapReached: Code.UNAVAILABLE,
    e.IdsRefused: Code.UNAVAILABLE,
    e.Internal: Code.INTERNAL,
    UnknownMethod: Code.UNIMPLEMENTED,
}
"""Every class of the tree; a test fails on one that is missing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends that does not answer.  `trailer` is a serialised google.rpc.Status."""

    code: grpc.StatusCode
    reason: str
    outcome: str
    message: str
    trailer: bytes


class Refused(Exception):
    """Carries a refusal outwards through the steps that count and log it."""

    def __init__(self, refusal: Refusal):
        super().__init__(refusal.reason)
        self.refusal = refusal


def refusal_of(error: e.RookeryError, request_id: str) -> Refusal:
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    hidden = code is Code.INTERNAL
    message = "internal error" if hidden else error.public or code.name.replace("_", " ").lower()
    metadata = {} if hidden else dict(error.metadata)
    metadata |= {"outcome": error.outcome.value, "request_id": request_id}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, e.InvalidArgument):
        details.append(_bad_request(error))
    elif isinstance(error, e.Unavailable | e.ResourceExhausted):
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status: Message = status_pb2.Status(
        code=code.value[0], message=message, details=[_any(detail) for detail in details]
    )
    return Refusal(code, error.reason, error.outcome.value, message, status.SerializeToString())


def _bad_request(error: e.InvalidArgument) -> Message:
    violation = error_details_pb2.BadRequest.FieldViolation
    bad: Message = error_details_pb2.BadRequest(
        field_violations=[violation(field=v.field, description=v.text, reason=v.rule.upper()) for v in error.violations]
    )
    return bad


def _any(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
