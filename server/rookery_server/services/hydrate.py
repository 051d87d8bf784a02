"""From ids to bodies: cached copies first, then the truth, which fills the cache."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Bodies
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.frames import frame
from rookery_server.services.coalesced import Coalesced
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import TweetStore


@dataclass(frozen=True, slots=True)
class Hydrated:
    """`bodies`: framed, empty = deleted; ids that exist nowhere are absent.  `unread`: ids whose truth could not be
    read, so nothing is known of them."""

    bodies: Mapping[int, bytes]
    unread: frozenset[int] = frozenset()

    def raise_if_unread(self) -> None:
        """For callers who need all or nothing.  Raises StoreUnavailable."""
        if self.unread:
            raise StoreUnavailable


class Hydration:
    """Bodies of many tweets in one batch; misses are read once for all who ask at a time."""

    def __init__(self, store: TweetStore, cache: Bodies, witness: Witness = SILENT):
        self._store, self._cache, self._witness = store, cache, witness
        self._truth: Coalesced[bytes] = Coalesced(self._load, lambda: witness.coalesced("tweet"))

    async def bodies(self, tweet_ids: Sequence[int], bypass: Collection[int] = ()) -> Hydrated:
        """`bypass`: ids whose cached copies are not good enough (a consistency token names them)."""
        cached = await self._cached([id_ for id_ in tweet_ids if id_ not in bypass])
        missing = [id_ for id_ in tweet_ids if id_ not in cached]
        if not missing:
            return Hydrated(cached)
        try:
            return Hydrated({**cached, **await self._truth.get(missing)})
        except StoreUnavailable:
            return Hydrated(cached, frozenset(missing))

    async def _cached(self, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        if not tweet_ids:
            return {}
        try:
            found = await self._cache.get_bodies(tweet_ids)
        except CacheUnavailable:
            self._witness.cache("tweet", "error", len(tweet_ids))
            return {}
        self._witness.cache("tweet", "hit", len(found))
        self._witness.cache("tweet", "absent", len(tweet_ids) - len(found))
        return found

    async def _load(self, tweet_ids: tuple[int, ...]) -> dict[int, bytes]:
        mark = self._cache.fill_mark()
        rows = await self._store.get_tweets(tweet_ids)
        framed = {id_: frame(row.body) if row.body else b"" for id_, row in rows.items()}
        await self._cache.fill_bodies(framed, mark)
        return framed
