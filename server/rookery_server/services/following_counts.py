"""How many accounts somebody follows, near enough for the cap, without reading the whole partition for every follow.

A number is kept for a minute and moved along with this server's own changes; where it comes near the cap it is read
anew every time.  What other servers change within that minute is not seen, which the cap allows for: it bounds builds,
it is no promise to the last edge (and near it every server reads).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import FOLLOWING_COUNT_LIFE_S, FOLLOWING_COUNTED_FROM, KNOWN_USERS_KEPT
from rookery_server.store.interface import GraphStore


@dataclass(slots=True)
class _Count:
    value: int
    read_at: float


class FollowingCounts:
    def __init__(self, store: GraphStore, clock: Clock):
        self._store, self._clock = store, clock
        self._counts: OrderedDict[int, _Count] = OrderedDict()

    async def of(self, user_id: int) -> int:
        """Raises StoreUnavailable."""
        kept = self._counts.get(user_id)
        now = self._clock.monotonic()
        if kept is not None and now - kept.read_at < FOLLOWING_COUNT_LIFE_S and kept.value < FOLLOWING_COUNTED_FROM:
            return kept.value
        value = sum(edge.on for edge in await self._store.following(user_id))
        self._counts[user_id] = _Count(value, now)
        self._counts.move_to_end(user_id)
        if len(self._counts) > KNOWN_USERS_KEPT:
            self._counts.popitem(last=False)
        return value

    def changed(self, user_id: int, by: int) -> None:
        """An edge of this user was written (1) or removed (-1) here."""
        kept = self._counts.get(user_id)
        if kept is not None:
            kept.value += by
