"""What is counted of every exchange with a node, by what it was for.  Children are bound once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rookery_server.cache.redis.errors import LinkError, Redirected
from rookery_server.domain.errors import Outcome
from rookery_server.metrics import Metrics

TIMELINE_READ: Final = "timeline_read"
BUILD: Final = "build"
PUSH: Final = "push"
BODY: Final = "body"
RELATION: Final = "relation"
PROFILE: Final = "profile"
OVERWRITE: Final = "overwrite"
WATERMARK: Final = "watermark"
BELL: Final = "bell"
_WRITTEN = (PUSH, OVERWRITE)
"""Uses that only write; reads that end unknown are nothing."""
_ALL = (TIMELINE_READ, BUILD, PUSH, BODY, RELATION, PROFILE, OVERWRITE, WATERMARK, BELL)


class Uses:
    def __init__(self, metrics: Metrics) -> None:
        self._seconds = {use: metrics.redis_request(use).observe for use in _ALL}
        self._errors = metrics.redis_errors
        self._redirects = metrics.redis_redirects
        self._unknown = metrics.unknown_outcomes
        self._in_flight = metrics.redis_in_flight

    def timer(self, use: str) -> Callable[[float], None]:
        """Takes the seconds of one exchange."""
        return self._seconds[use]

    def failed(self, use: str, error: LinkError) -> None:
        self._errors(use, error.kind).inc()
        if use in _WRITTEN and error.outcome is Outcome.UNKNOWN:
            self._unknown(use, "redis").inc()
        if isinstance(error, Redirected) and error.cause.startswith(("MOVED", "ASK")):
            self._redirects("moved" if error.cause.startswith("MOVED") else "ask").inc()

    def waiting(self, index: int, commands: int) -> None:
        """What the primary of this index has not answered yet."""
        self._in_flight(str(index)).set(commands)

    def watermark_unknown(self) -> None:
        self._unknown(WATERMARK, "redis").inc()
