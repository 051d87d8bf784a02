"""What is counted of every exchange with a node, by what it was for.  Children are bound once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rookery_server.cache.redis.errors import LinkError, Redirected
from rookery_server.metrics import Metrics

TIMELINE_READ: Final = "timeline_read"
BUILD: Final = "build"
PUSH: Final = "push"
BODY: Final = "body"
RELATION: Final = "relation"
OVERWRITE: Final = "overwrite"
WATERMARK: Final = "watermark"
BELL: Final = "bell"
_ALL = (TIMELINE_READ, BUILD, PUSH, BODY, RELATION, OVERWRITE, WATERMARK, BELL)


class Uses:
    def __init__(self, metrics: Metrics) -> None:
        self._seconds = {use: metrics.redis_request(use).observe for use in _ALL}
        self._errors = metrics.redis_errors
        self._redirects = metrics.redis_redirects

    def timer(self, use: str) -> Callable[[float], None]:
        """Takes the seconds of one exchange."""
        return self._seconds[use]

    def failed(self, use: str, error: LinkError) -> None:
        self._errors(use, error.kind).inc()
        if isinstance(error, Redirected) and error.cause.startswith(("MOVED", "ASK")):
            self._redirects("moved" if error.cause.startswith("MOVED") else "ask").inc()
