"""How a command can fail to be answered, in the words of the metrics.  All of them are `CacheUnavailable`."""

from __future__ import annotations

from typing import ClassVar

from rookery_server.domain.errors import CacheUnavailable, Outcome


class LinkError(CacheUnavailable):
    """`kind` is the label of `rookery_redis_errors_total`."""

    kind: ClassVar[str] = "other"
    settled_outcome: ClassVar[Outcome] = Outcome.UNKNOWN

    def __init__(self, cause: str) -> None:
        super().__init__("cache node out of reach", outcome=self.settled_outcome)
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.kind}: {self.cause}"


class NotSent(LinkError):
    """Queue full, link gone before, node being left alone: nothing happened."""

    kind = "not_sent"
    settled_outcome = Outcome.NONE


class TimedOut(LinkError):
    kind = "timeout"


class Disconnected(LinkError):
    kind = "connection"


class Redirected(LinkError):
    """The node is not, or not now, the primary of that slot: MOVED, ASK, READONLY, LOADING, CLUSTERDOWN …"""

    kind = "redirect"


class Refused(LinkError):
    """The node answered this command with an error; the link is as good as before."""

    kind = "refused"
    settled_outcome = Outcome.NONE


class Malformed(LinkError):
    """A reply of a shape this command does not have, or bytes that are no reply."""

    kind = "other"
