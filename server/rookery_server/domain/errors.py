"""Every error a caller or an operator can meet.

::

    RookeryError
    ├── InvalidArgument            a field breaks a stated rule
    │   ├── InvalidText            … the text of a tweet, a name, a profile
    │   └── InvalidToken           … a page, newer or consistency token that is altered or foreign
    ├── Unauthenticated            nobody we know
    ├── PermissionDenied           known, and not allowed
    │   └── AccountInactive        … since the acting account is deactivated or suspended
    ├── NotFound                   does not exist, is deleted or is hidden: never told apart
    ├── AlreadyExists
    │   ├── UsernameTaken
    │   └── RequestIdReused        same request id, other content
    ├── FailedPrecondition
    │   └── FollowLimitReached
    ├── Aborted
    │   └── StaleEtag              the profile was edited meanwhile
    ├── ResourceExhausted          only what the *caller* used up: quota, size
    │   ├── RateLimited
    │   ├── TooManyStreams         this user has as many streams open here as one may
    │   └── SlowConsumer           did not take a message of its stream in time: resume it
    ├── DeadlineExceeded           the time ran out under way
    │   └── DeadlineTooShort       … refused at the door: cannot finish in the time left; nothing was done
    ├── Unavailable                no capacity or no quorum on our side: another host may do better
    │   ├── StoreUnavailable       Cassandra; `outcome` tells what is known of a write
    │   ├── CacheUnavailable       Redis/Valkey; never reaches a caller but through a full merge cap
    │   ├── CapReached             too many builds or merges at once
    │   └── IdsRefused             clock, lease ceiling or sequence: no id may be minted now
    └── Internal                   our bug; its text never leaves the process

`public` is safe to show to anyone; the private cause travels as ``__cause__`` only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What is known of a write that did not answer OK."""

    NONE = "none"
    """Proof that nothing was written."""
    UNKNOWN = "unknown"
    """It may have happened, may still happen, or never will; a retry with the same request id settles it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: `field` is the path in the request, `rule` a stable snake_case name, `text` for people."""

    field: str
    rule: str
    text: str


class RookeryError(Exception):
    """Root of the tree.  `reason` is the stable code sent to callers (an `ErrorReason` of errors.proto)."""

    reason = "INTERNAL"

    def __init__(self, public: str = "", *, outcome: Outcome = Outcome.NONE, metadata: dict[str, str] | None = None):
        super().__init__(public)
        self.public = public
        self.outcome = outcome
        self.metadata = metadata or {}


class InvalidArgument(RookeryError):
    reason = "INVALID_ARGUMENT"

    def __init__(self, *violations: Violation):
        super().__init__("; ".join(f"{v.field}: {v.text}" for v in violations))
        self.violations = violations


class InvalidText(InvalidArgument):
    reason = "INVALID_TEXT"


class InvalidToken(InvalidArgument):
    reason = "INVALID_TOKEN"


class Unauthenticated(RookeryError):
    reason = "UNAUTHENTICATED"


class PermissionDenied(RookeryError):
    reason = "PERMISSION_DENIED"


class AccountInactive(PermissionDenied):
    reason = "ACCOUNT_INACTIVE"


class NotFound(RookeryError):
    reason = "NOT_FOUND"


class AlreadyExists(RookeryError):
    reason = "ALREADY_EXISTS"


class UsernameTaken(AlreadyExists):
    reason = "USERNAME_TAKEN"


class RequestIdReused(AlreadyExists):
    reason = "REQUEST_ID_REUSED"


class FailedPrecondition(RookeryError):
    reason = "FAILED_PRECONDITION"


class FollowLimitReached(FailedPrecondition):
    reason = "FOLLOW_LIMIT_REACHED"


class Aborted(RookeryError):
    reason = "ABORTED"


class StaleEtag(Aborted):
    """Carries the etag that is current in `metadata["etag"]`."""

    reason = "STALE_ETAG"


class ResourceExhausted(RookeryError):
    reason = "RESOURCE_EXHAUSTED"
    retry_after_s: float = 1.0


class RateLimited(ResourceExhausted):
    reason = "RATE_LIMITED"

    def __init__(self, public: str, *, retry_after_s: float):
        super().__init__(public)
        self.retry_after_s = retry_after_s


class TooManyStreams(ResourceExhausted):
    reason = "TOO_MANY_STREAMS"


class SlowConsumer(ResourceExhausted):
    reason = "SLOW_CONSUMER"


class DeadlineExceeded(RookeryError):
    reason = "DEADLINE_EXCEEDED"


class DeadlineTooShort(DeadlineExceeded):
    reason = "DEADLINE_TOO_SHORT"


class Unavailable(RookeryError):
    reason = "UNAVAILABLE"

    def __init__(self, public: str = "", *, outcome: Outcome = Outcome.NONE, retry_after_s: float = 0.2):
        super().__init__(public or "temporarily unavailable", outcome=outcome)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Unavailable):
    reason = "STORE_UNAVAILABLE"


class CacheUnavailable(Unavailable):
    reason = "CACHE_UNAVAILABLE"


class CapReached(Unavailable):
    reason = "CAP_REACHED"


class IdsRefused(Unavailable):
    """`cause_code` is `clock`, `ceiling` or `sequence` (also a metric label)."""

    reason = "IDS_REFUSED"

    def __init__(self, cause_code: str):
        super().__init__("no id can be minted now")
        self.cause_code = cause_code


class Internal(RookeryError):
    reason = "INTERNAL"
