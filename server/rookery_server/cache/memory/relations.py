"""A viewer's relations: loaded over what was seen, overwritten by stubs."""

from __future__ import annotations

from rookery_server.cache import keys
from rookery_server.cache.interface import RelationsRead
from rookery_server.cache.memory.bodies import BodiesRole
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.values import StoredRelations
from rookery_server.domain.models import Relations

ABSENT = RelationsRead(seen=None, version=0, relations=None)


def stored(node: Node, user_id: int) -> StoredRelations | None:
    value = node.get(keys.relations(user_id))
    return value if isinstance(value, StoredRelations) else None


def read_relations(node: Node, user_id: int) -> RelationsRead:
    value = stored(node, user_id)
    return ABSENT if value is None else RelationsRead(value.raw(), value.version, value.relations)


def stub(node: Node, user_id: int, version: int, change: int | None, life_s: float, *, once: bool) -> bool:
    """`once`: not if it was stubbed for exactly this change before."""
    old = stored(node, user_id)
    if once and old is not None and change in old.stubbed:
        return False
    new = (old or StoredRelations(-1)).stub(version, change)
    node.set(keys.relations(user_id), new, life_s)
    node.delete(keys.home(user_id), keys.home_meta(user_id), keys.history(user_id))
    return True


class RelationsRole(BodiesRole):
    async def read_relations(self, user_id: int) -> RelationsRead:
        return (await self._ask(user_id, "read_relations", lambda node: read_relations(node, user_id)))[1]

    async def store_relations(self, user_id: int, seen: bytes | None, relations: Relations) -> bool:
        def swap(node: Node) -> bool:
            old = stored(node, user_id)
            if (old and old.raw()) != seen:
                return False
            value = StoredRelations(relations.version, old.stubbed if old else (), relations)
            node.set(keys.relations(user_id), value, self._relations_life_s)
            return True

        return (await self._ask(user_id, "store_relations", swap))[1]

    async def stub_relations(self, user_id: int, version: int, change: int | None = None) -> bool:
        life_s = self._relations_life_s
        return await self._settle(
            "stub_relations", user_id, lambda node: stub(node, user_id, version, change, life_s, once=False)
        )
