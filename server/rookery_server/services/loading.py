"""A viewer's relations from the truth, with the authors to merge among them, and kept for those who come later."""

from __future__ import annotations

from dataclasses import dataclass

from rookery_server.cache.interface import Lists, RelationsRead
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.limits import FILL_MAX_AGE_S
from rookery_server.domain.models import Edge, Relations
from rookery_server.domain.rules import Viewer
from rookery_server.services.relations import RelationRows, followees_of, keep_relations, load_relations
from rookery_server.services.tiers import TierDirectory


@dataclass(frozen=True, slots=True)
class Loaded:
    """`knows_pull`: the relations name everybody whose list is to be merged; otherwise a page of a cached list that
    goes by them may lack those, so it claims nothing (T6)."""

    relations: Relations
    edges: tuple[Edge, ...]
    knows_pull: bool

    def viewer(self, user_id: int) -> Viewer:
        return Viewer(user_id, self.relations, followees_of(self.edges))


class Loading:
    """Keeps nothing between calls: whoever loads may have its own."""

    def __init__(self, store: RelationRows, cache: Lists, clock: Clock, tiers: TierDirectory):
        self._store, self._cache, self._clock, self._tiers = store, cache, clock, tiers

    async def load(self, user_id: int, seen: RelationsRead | None = None) -> Loaded:
        """`seen`: what stood in the cache before; None = keep nothing.  Kept only if all of it is known and the load
        took no longer than 5 s, so that no process that stood still stores the pull authors of long ago (T2).
        Raises StoreUnavailable."""
        began = self._clock.monotonic()
        merged = await self._merged()
        relations, edges = await load_relations(self._store, merged or (), user_id, self._clock.now_ms())
        if seen is not None and merged is not None and self._clock.monotonic() - began <= FILL_MAX_AGE_S:
            await keep_relations(self._cache, user_id, seen, relations)
        return Loaded(relations, edges, merged is not None)

    async def _merged(self) -> frozenset[int] | None:
        """What the directory is too old for is asked for once more here; None: then nobody can tell."""
        for may_read in (True, False):
            try:
                return self._tiers.merged()
            except StoreUnavailable:
                if may_read:
                    await self._tiers.refresh()
        return None
