"""Stretches of home timelines below their lists."""

from __future__ import annotations

from rookery_server.cache import keys
from rookery_server.cache.interface import HistoryRead
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.relations import seen
from rookery_server.cache.memory.role import Role


class HistoriesRole(Role):
    async def read_history(self, user_id: int) -> HistoryRead | None:
        found = (await self._ask(user_id, "read_history", lambda node: node.get(keys.history(user_id))))[1]
        return found if isinstance(found, HistoryRead) else None

    async def store_history(self, user_id: int, relations_seen: bytes, history: HistoryRead) -> bool:
        def store(node: Node) -> bool:
            if seen(node, user_id) != relations_seen:
                return False
            node.set(keys.history(user_id), history, keys.HISTORY_LIFE_S)
            return True

        return (await self._ask(user_id, "store_history", store))[1]
