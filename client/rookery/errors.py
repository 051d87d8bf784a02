"""What a call can end with, one class for each `ErrorReason` of the contract.

::

    RookeryError
    ├── InvalidArgument ── InvalidText, InvalidToken
    ├── Unauthenticated, NotFound
    ├── PermissionDenied ── AccountInactive
    ├── AlreadyExists ── UsernameTaken, RequestIdReused
    ├── FailedPrecondition ── FollowLimitReached
    ├── Aborted ── StaleEtag
    ├── ResourceExhausted ── RateLimited, TooManyStreams, SlowConsumer
    ├── DeadlineExceeded ── DeadlineTooShort
    ├── Unavailable ── StoreUnavailable, CacheUnavailable, CapReached, IdsRefused
    └── Unimplemented, Internal, Cancelled

`outcome` answers the question that matters after a failed write: `none` = proof that nothing happened, `unknown` =
nobody knows, the same request id settles it.  Only an answer that carries our `ErrorInfo` can say `none`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError

from rookery.v1 import errors_pb2

_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    field: str
    description: str


class RookeryError(Exception):
    """Root.  `reason` is the stable name, `code` the gRPC status, `request_id` finds the call in the server's logs."""

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.violations = violations
        self.retry_after_s = retry_after_s

    @property
    def outcome(self) -> str:
        return self.metadata.get("outcome", "unknown")

    @property
    def request_id(self) -> str:
        return self.metadata.get("request_id", "")

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class InvalidArgument(RookeryError): ...


class InvalidText(InvalidArgument): ...


class InvalidToken(InvalidArgument): ...


class Unauthenticated(RookeryError): ...


class PermissionDenied(RookeryError): ...


class AccountInactive(PermissionDenied): ...


class NotFound(RookeryError): ...


class AlreadyExists(RookeryError): ...


class UsernameTaken(AlreadyExists): ...


class RequestIdReused(AlreadyExists): ...


class FailedPrecondition(RookeryError): ...


class FollowLimitReached(FailedPrecondition): ...


class Aborted(RookeryError): ...


class StaleEtag(Aborted):
    @property
    def etag(self) -> str:
        """The etag that is current."""
        return self.metadata.get("etag", "")


class ResourceExhausted(RookeryError): ...


class RateLimited(ResourceExhausted): ...


class TooManyStreams(ResourceExhausted): ...


class SlowConsumer(ResourceExhausted): ...


class DeadlineExceeded(RookeryError): ...


class DeadlineTooShort(DeadlineExceeded): ...


class Unavailable(RookeryError): ...


class StoreUnavailable(Unavailable): ...


class CacheUnavailable(Unavailable): ...


class CapReached(Unavailable): ...


class IdsRefused(Unavailable): ...


class Unimplemented(RookeryError): ...


class Internal(RookeryError): ...


class Cancelled(RookeryError): ...


BY_REASON: dict[str, type[RookeryError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "INVALID_TEXT": InvalidText,
    "INVALID_TOKEN": InvalidToken,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "ACCOUNT_INACTIVE": AccountInactive,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "USERNAME_TAKEN": UsernameTaken,
    "REQUEST_ID_REUSED": RequestIdReused,
    "FAILED_PRECONDITION": FailedPrecondition,
    "FOLLOW_LIMIT_REACHED": FollowLimitReached,
    "ABORTED": Aborted,
    "STALE_ETAG": StaleEtag,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "RATE_LIMITED": RateLimited,
    "TOO_MANY_STREAMS": TooManyStreams,
    "SLOW_CONSUMER": SlowConsumer,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "DEADLINE_TOO_SHORT": DeadlineTooShort,
    "UNAVAILABLE": Unavailable,
    "STORE_UNAVAILABLE": StoreUnavailable,
    "CACHE_UNAVAILABLE": CacheUnavailable,
    "CAP_REACHED": CapReached,
    "IDS_REFUSED": IdsRefused,
    "UNIMPLEMENTED": Unimplemented,
    "INTERNAL": Internal,
}

_BY_CODE: dict[grpc.StatusCode, type[RookeryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}


def from_rpc(error: grpc.aio.AioRpcError) -> RookeryError:
    """The typed error of a failed call.  Without details (a proxy, a refused connection) its class follows the code."""
    found = _Details()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            found = _details(value)
    kind = BY_REASON.get(found.reason) or _BY_CODE.get(error.code(), Internal)
    return kind(
        error.details() or error.code().name,
        code=error.code(),
        reason=found.reason,
        metadata=found.metadata,
        violations=found.violations,
        retry_after_s=found.retry_after_s,
    )


@dataclass(slots=True)
class _Details:
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_after_s: float | None = None


def _details(raw: bytes) -> _Details:
    found = _Details()
    status = errors_pb2.Status()
    try:
        status.ParseFromString(raw)
        for detail in status.details:
            name = detail.type_url.rpartition("/")[2]
            if name == "google.rpc.ErrorInfo":
                info = errors_pb2.ErrorInfo.FromString(detail.value)
                if info.domain == "rookery":
                    found.reason, found.metadata = info.reason, dict(info.metadata)
            elif name == "google.rpc.BadRequest":
                bad = errors_pb2.BadRequest.FromString(detail.value)
                found.violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
            elif name == "google.rpc.RetryInfo":
                delay = errors_pb2.RetryInfo.FromString(detail.value).retry_delay
                found.retry_after_s = delay.ToTimedelta().total_seconds()
    except DecodeError:  # not ours: a proxy may put anything there
        return _Details()
    return found
