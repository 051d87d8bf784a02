"""Who looks, on paths that have no list: the viewer's relations from `rel:`, or from the truth (R2)."""

from __future__ import annotations

from rookery_server.cache.interface import Lists, RelationsRead
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.rules import Viewer
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.loading import Loading
from rookery_server.services.tokens import speaks_of_relations

NOBODY = Viewer(0)
"""A public call: nothing is known of whoever looks."""


class Viewers:
    def __init__(self, cache: Lists, loading: Loading):
        self._cache, self._loading = cache, loading

    async def of(self, user_id: int, token: ConsistencyToken | None = None) -> Viewer:
        """`user_id` 0 = nobody in particular.  A token that speaks of the viewer's relations has them read from the
        truth.  Raises StoreUnavailable."""
        if not user_id:
            return NOBODY
        seen = await self._cached(user_id)
        if seen is not None and seen.relations is not None and not speaks_of_relations(token, user_id):
            return Viewer(user_id, seen.relations)
        return (await self._loading.load(user_id, seen)).viewer(user_id)

    async def _cached(self, user_id: int) -> RelationsRead | None:
        try:
            return await self._cache.read_relations(user_id)
        except CacheUnavailable:
            return None
