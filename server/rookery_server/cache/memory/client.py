"""One process's view of the world: all roles."""

from __future__ import annotations

from rookery_server.cache.memory.bell import BellRole
from rookery_server.cache.memory.bodies import BodiesRole
from rookery_server.cache.memory.deliveries import DeliveriesRole
from rookery_server.cache.memory.histories import HistoriesRole
from rookery_server.cache.memory.lists import ListsRole
from rookery_server.cache.memory.profiles import ProfilesRole
from rookery_server.cache.memory.relations import RelationsRole
from rookery_server.cache.memory.watermarks import WatermarksRole


class MemoryCache(
    WatermarksRole, ListsRole, HistoriesRole, RelationsRole, ProfilesRole, BodiesRole, DeliveriesRole, BellRole
):
    """`cache.interface.Cache`."""

    async def close(self) -> None:
        self._connections.clear()
        for listener in self._listeners:
            listener.end()
