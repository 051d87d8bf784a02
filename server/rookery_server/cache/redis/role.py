"""What every part of the adapter holds."""

from __future__ import annotations

from rookery_server.cache.redis.client import Client
from rookery_server.domain.clock import Clock


class Role:
    """One of the cache's roles; the adapter is all of them over one client."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
