"""What each node can vouch for, kept in the node itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rookery_server.cache.interface import Link, Marks
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.role import Role
from rookery_server.cache.memory.values import StoredMarks
from rookery_server.domain.errors import CacheUnavailable


def own_marks(node: Node) -> StoredMarks | None:
    """None: the node is new, was emptied, or has another one's."""
    value = node.get(node.watermarks_key)
    return value if isinstance(value, StoredMarks) and value.node == node.name else None


class WatermarksRole(Role):
    async def read_marks(self) -> dict[str, Marks | None]:
        names = list(self._world.nodes)
        return dict(zip(names, await asyncio.gather(*map(self._read_node, names)), strict=True))

    async def _read_node(self, name: str) -> Marks | None:
        try:
            return await self.read_node_marks(self._link(self._world.nodes[name]))
        except CacheUnavailable:
            return None

    async def read_node_marks(self, link: Link) -> Marks:
        found = await self._over(link, "read_node_marks", own_marks)
        return Marks(link, False) if found is None else Marks(link, True, dict(found.marks), found.flushed_ms)

    async def advance(self, link: Link, moves: Mapping[int, tuple[int | None, int]]) -> dict[int, bool]:
        if not moves:
            return {}

        def advance(node: Node) -> dict[int, bool]:
            found = own_marks(node)
            if found is None:
                return dict.fromkeys(moves, False)
            moved = {shard: found.marks.get(shard) == expected for shard, (expected, _) in moves.items()}
            marks = {**found.marks, **{shard: moves[shard][1] for shard, done in moved.items() if done}}
            node.set(node.watermarks_key, StoredMarks(node.name, found.flushed_ms, marks), None)
            return moved

        return await self._over(link, "advance", advance)

    async def adopt_empty(self, link: Link, now_ms: int, stale_ms: int | None = None) -> bool:
        def adopt(node: Node) -> bool:
            found = own_marks(node)
            if found is not None and found.flushed_ms != stale_ms:
                return False
            # In one step here: between them nothing is known, so nothing is settled.
            self._end_others(node, link)
            node.flush()
            node.set(node.watermarks_key, StoredMarks(node.name, now_ms), None)
            return True

        return await self._over(link, "adopt_empty", adopt)
