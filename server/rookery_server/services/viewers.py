"""Who looks, on paths that have no list: the viewer's relations from `rel:`, or from the truth (R2)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rookery_server.cache.interface import Lists, RelationsRead
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.rules import Viewer
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.relations import RelationRows, followees_of, keep_relations, load_relations
from rookery_server.services.tokens import speaks_of_relations

NOBODY = Viewer(0)
"""A public call: nothing is known of whoever looks."""


class Viewers:
    """`merged`: the authors whose lists readers merge now; may raise StoreUnavailable."""

    def __init__(self, store: RelationRows, cache: Lists, clock: Clock, merged: Callable[[], Collection[int]]):
        self._store, self._cache, self._clock, self._merged = store, cache, clock, merged

    async def of(self, user_id: int, token: ConsistencyToken | None = None) -> Viewer:
        """`user_id` 0 = nobody in particular.  A token that speaks of the viewer's relations has them read from the
        truth.  Raises StoreUnavailable."""
        if not user_id:
            return NOBODY
        seen = await self._cached(user_id)
        if seen is not None and seen.relations is not None and not speaks_of_relations(token, user_id):
            return Viewer(user_id, seen.relations)
        return await self._load(user_id, seen)

    async def _cached(self, user_id: int) -> RelationsRead | None:
        try:
            return await self._cache.read_relations(user_id)
        except CacheUnavailable:
            return None

    async def _load(self, user_id: int, seen: RelationsRead | None) -> Viewer:
        merged = self._merged_now()
        relations, edges = await load_relations(self._store, merged or (), user_id, self._clock.now_ms())
        if seen is not None and merged is not None:
            await keep_relations(self._cache, user_id, seen, relations)
        return Viewer(user_id, relations, followees_of(edges))

    def _merged_now(self) -> Collection[int] | None:
        """None while nobody can tell: then what is loaded is good for this call and not for a home page."""
        try:
            return self._merged()
        except StoreUnavailable:
            return None
