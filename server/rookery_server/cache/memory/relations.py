"""A viewer's relations: loaded over what was seen, overwritten by stubs."""

from __future__ import annotations

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, RelationsRead
from rookery_server.cache.memory.bodies import BodiesRole
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.values import StoredRelations
from rookery_server.domain.models import Relations


def stored(node: Node, user_id: int) -> StoredRelations | None:
    value = node.get(keys.relations(user_id))
    return value if isinstance(value, StoredRelations) else None


def seen(node: Node, user_id: int) -> bytes | None:
    value = stored(node, user_id)
    return None if value is None else value.raw()


def read_value(link: Link, value: StoredRelations | None) -> RelationsRead:
    if value is None:
        return RelationsRead(link, None, 0, None)
    return RelationsRead(link, value.raw(), value.version, value.relations)


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
        return read_value(*await self._ask(user_id, "read_relations", lambda node: stored(node, user_id)))

    async def store_relations(self, user_id: int, over: RelationsRead, relations: Relations) -> bool:
        def swap(node: Node) -> bool:
            old = stored(node, user_id)
            if (old and old.raw()) != over.seen:
                return False
            value = StoredRelations(relations.version, old.stubbed if old else (), relations)
            node.set(keys.relations(user_id), value, self._relations_life_s)
            return True

        return await self._over(over.link, "store_relations", swap)

    async def stub_relations(self, user_id: int, version: int, change: int | None = None) -> bool:
        life_s = self._relations_life_s
        return await self._settle(
            "stub_relations", user_id, lambda node: stub(node, user_id, version, change, life_s, once=False)
        )
