"""What the driver's errors mean for a request: one map, and the retry policy that goes with it.

Outcome of a write: *nothing* only with proof (refused before anything was stored, or never sent); everything else is
*unknown*.  A compare-and-set that did not answer with its `[applied]` row is always unknown: a proposal may be under
way.  Sources: Cassandra's native protocol v5, section 9, and cassandra-driver 3.30.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from types import TracebackType
from typing import Any

import cassandra
from cassandra import cluster, connection, pool, protocol, query
from cassandra.connection import CrcException, ProtocolError, ProtocolVersionUnsupported
from cassandra.policies import RetryPolicy

from rookery_server.domain.errors import Internal, Outcome, RookeryError, StoreUnavailable


class Meaning(enum.Enum):
    BUG = "bug"
    """Our statement, our rights, our configuration: nothing happened, and nobody can retry it away."""
    REFUSED = "refused"
    """Answered before anything was stored."""
    UNREACHED = "unreached"
    """No host took it, or all that did refused it: the policy knows which."""
    UNKNOWN = "unknown"


CAS_WRITE_UNKNOWN = 0x1700
"""A code of protocol v5 that this driver has no class for; it arrives as a bare ErrorMessage."""

_BUG, _REFUSED, _UNREACHED, _UNKNOWN = Meaning.BUG, Meaning.REFUSED, Meaning.UNREACHED, Meaning.UNKNOWN
MEANINGS: dict[type[BaseException], tuple[Meaning, str]] = {
    # -- cassandra: what `to_exception` makes of answers
    cassandra.AlreadyExists: (_BUG, "other"),
    cassandra.AuthenticationFailed: (_BUG, "other"),
    cassandra.CDCWriteFailure: (_UNKNOWN, "failure"),
    cassandra.ConfigurationException: (_BUG, "other"),
    cassandra.CoordinationFailure: (_UNKNOWN, "failure"),
    cassandra.DependencyException: (_BUG, "other"),
    cassandra.DriverException: (_UNKNOWN, "other"),
    cassandra.FunctionFailure: (_BUG, "failure"),
    cassandra.InvalidRequest: (_BUG, "other"),
    cassandra.OperationTimedOut: (_UNKNOWN, "timeout"),
    cassandra.ReadFailure: (_UNKNOWN, "failure"),
    cassandra.ReadTimeout: (_UNKNOWN, "read_timeout"),
    cassandra.RequestExecutionException: (_UNKNOWN, "other"),
    cassandra.RequestValidationException: (_BUG, "other"),
    cassandra.Timeout: (_UNKNOWN, "timeout"),
    cassandra.Unauthorized: (_BUG, "other"),
    cassandra.Unavailable: (_REFUSED, "unavailable"),
    cassandra.UnresolvableContactPoints: (_UNREACHED, "connection"),
    cassandra.UnsupportedOperation: (_BUG, "other"),
    cassandra.WriteFailure: (_UNKNOWN, "failure"),
    cassandra.WriteTimeout: (_UNKNOWN, "write_timeout"),
    # -- cluster, pool, connection: the driver's own
    cluster.NoHostAvailable: (_UNREACHED, "connection"),
    cluster.QueryExhausted: (_BUG, "other"),
    cluster.UserTypeDoesNotExist: (_BUG, "other"),
    query.TraceUnavailable: (_BUG, "other"),
    pool.NoConnectionsAvailable: (_UNREACHED, "connection"),
    connection.ConnectionBusy: (_UNREACHED, "connection"),
    connection.ConnectionException: (_UNKNOWN, "connection"),
    connection.ConnectionShutdown: (_UNKNOWN, "connection"),
    connection.CrcMismatchException: (_UNKNOWN, "connection"),
    CrcException: (_UNKNOWN, "connection"),
    ProtocolError: (_UNKNOWN, "connection"),
    ProtocolVersionUnsupported: (_BUG, "connection"),
    # -- protocol: answers that reach a caller as they are
    protocol.AlreadyExistsException: (_BUG, "other"),
    protocol.BadCredentials: (_BUG, "other"),
    protocol.CDCWriteException: (_UNKNOWN, "failure"),
    protocol.ClientWriteError: (_UNKNOWN, "failure"),
    protocol.ConfigurationException: (_BUG, "other"),
    protocol.ErrorMessage: (_UNKNOWN, "other"),
    protocol.ErrorMessageSub: (_UNKNOWN, "other"),
    protocol.FunctionFailureMessage: (_BUG, "failure"),
    protocol.InternalError: (_UNKNOWN, "other"),
    protocol.InvalidRequestException: (_BUG, "other"),
    protocol.IsBootstrappingErrorMessage: (_REFUSED, "unavailable"),
    protocol.NotSupportedError: (_BUG, "other"),
    protocol.OverloadedErrorMessage: (_UNKNOWN, "overloaded"),
    protocol.PreparedQueryNotFound: (_BUG, "other"),
    protocol.ProtocolException: (_BUG, "other"),
    protocol.ReadFailureMessage: (_UNKNOWN, "failure"),
    protocol.ReadTimeoutErrorMessage: (_UNKNOWN, "read_timeout"),
    protocol.RequestExecutionException: (_UNKNOWN, "other"),
    protocol.RequestValidationException: (_BUG, "other"),
    protocol.ServerError: (_UNKNOWN, "failure"),
    protocol.SyntaxException: (_BUG, "other"),
    protocol.TruncateError: (_UNKNOWN, "failure"),
    protocol.UnauthorizedErrorMessage: (_BUG, "other"),
    protocol.UnavailableErrorMessage: (_REFUSED, "unavailable"),
    protocol.WriteFailureMessage: (_UNKNOWN, "failure"),
    protocol.WriteTimeoutErrorMessage: (_UNKNOWN, "write_timeout"),
}
"""Of each class what it means for a write, and its metric label (`timeout` is told apart by the request)."""

_DRIVER_ERRORS = tuple(MEANINGS)


def as_driver_error(error: BaseException) -> BaseException:
    """What the driver ended a request with; a fault inside it (decoding, a bug) counts as its own, so as unknown."""
    return error if isinstance(error, _DRIVER_ERRORS) else cassandra.DriverException(repr(error))


_Decision = tuple[int, None]


class OneHop(RetryPolicy):  # type: ignore[misc]
    """At most one more host, and only for what is marked idempotent (a bootstrapping node did nothing: always).

    The driver's own policy goes from host to host on overload and lost connections, idempotent or not.  Used for one
    request, `doubt` remembers whether any host may have done the work although the last answer was a refusal.
    """

    def __init__(self, on_hop: Callable[[str], None]) -> None:
        self._on_hop = on_hop
        self.doubt = False

    def _hop(self, kind: str, retry_num: int) -> _Decision:
        if retry_num != 0:
            return self.RETHROW, None
        self._on_hop(kind)
        return self.RETRY_NEXT_HOST, None

    def on_read_timeout(self, query: Any, *_: Any, retry_num: int, **__: Any) -> _Decision:
        return self._hop("read_timeout", retry_num) if query.is_idempotent else (self.RETHROW, None)

    def on_write_timeout(self, *_: Any, **__: Any) -> _Decision:
        self.doubt = True
        return self.RETHROW, None

    def on_unavailable(self, query: Any, *_: Any, retry_num: int, **__: Any) -> _Decision:
        return self._hop("unavailable", retry_num) if query.is_idempotent else (self.RETHROW, None)

    def on_request_error(self, query: Any, consistency: Any, error: Any, retry_num: int) -> _Decision:
        if isinstance(error, protocol.IsBootstrappingErrorMessage):
            return self._hop("bootstrapping", retry_num)
        self.doubt = True
        if isinstance(error, connection.ConnectionException) and query.is_idempotent:
            return self._hop("connection", retry_num)
        return self.RETHROW, None


class DriverErrors:
    """Around one request: whatever the driver raises inside leaves as a domain error.

    `count` gets the metric label of each error.
    """

    __slots__ = ("_count", "_lwt", "_policy", "_write")

    def __init__(self, policy: OneHop, count: Callable[[str], None], *, write: bool = False, lwt: bool = False) -> None:
        self._policy, self._count, self._write, self._lwt = policy, count, write, lwt

    def __enter__(self) -> OneHop:
        return self._policy

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, _DRIVER_ERRORS):
            raise self._domain_error(error) from error

    def _domain_error(self, error: BaseException) -> RookeryError:
        meaning, label = next(MEANINGS[cls] for cls in type(error).__mro__ if cls in MEANINGS)
        if getattr(error, "code", None) == CAS_WRITE_UNKNOWN:
            label = "cas_unknown"
        if label == "timeout":
            label = "write_timeout" if self._write or self._lwt else "read_timeout"
        self._count(label)
        if meaning is Meaning.BUG:
            return Internal("the store refused a statement")
        return StoreUnavailable(outcome=self._outcome(meaning))

    def _outcome(self, meaning: Meaning) -> Outcome:
        if not (self._write or self._lwt):
            return Outcome.NONE  # a read changes nothing
        if meaning is Meaning.UNKNOWN or self._policy.doubt or (self._lwt and meaning is Meaning.REFUSED):
            return Outcome.UNKNOWN
        return Outcome.NONE
