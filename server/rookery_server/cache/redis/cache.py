"""The cache on a Redis ≥ 7.2 or Valkey cluster: all roles over one client."""

from __future__ import annotations

import random

from rookery_server.cache.redis.bell import BellRole
from rookery_server.cache.redis.bodies import BodiesRole
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.deliveries import DeliveriesRole
from rookery_server.cache.redis.histories import HistoriesRole
from rookery_server.cache.redis.lists import ListsRole
from rookery_server.cache.redis.profiles import ProfilesRole
from rookery_server.cache.redis.relations import RelationsRole
from rookery_server.cache.redis.removals import RemovalsRole
from rookery_server.cache.redis.settings import RedisSettings
from rookery_server.cache.redis.watermarks import WatermarksRole
from rookery_server.domain.clock import Clock
from rookery_server.metrics import Metrics


class RedisCache(
    WatermarksRole,
    ListsRole,
    HistoriesRole,
    RelationsRole,
    BodiesRole,
    ProfilesRole,
    RemovalsRole,
    DeliveriesRole,
    BellRole,
):
    """`cache.interface.Cache`.  Made without I/O; the first call that needs a node opens what it needs."""

    def __init__(self, settings: RedisSettings, clock: Clock, metrics: Metrics, rng: random.Random) -> None:
        super().__init__(Client(settings, metrics, rng), clock)

    async def close(self) -> None:
        await self._close_settlers()
        await self._client.close()
