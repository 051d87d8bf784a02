"""Who becomes pull, and who is delivered again.  Rule N9 of docs/protocols/count.md, and docs/protocols/tier.md."""

from __future__ import annotations

import logging

from rookery_server.domain.clock import Clock
from rookery_server.domain.fanout import AuthorTier, Tier, tier_for
from rookery_server.metrics import Metrics
from rookery_server.store.interface import TierStore
from rookery_server.workers.fanout import Tiers
from rookery_server.workers.settings import WorkerSettings

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Another worker may decide at the same time; then its row is judged, and mostly there is nothing left to do."""


class Tiering:
    """Judges by what was just counted, and announces a change by compare-and-set."""

    def __init__(
        self, store: TierStore, tiers: Tiers, clock: Clock, settings: WorkerSettings, metrics: Metrics
    ) -> None:
        self._store, self._tiers, self._clock, self._metrics = store, tiers, clock, metrics
        self._thresholds, self._crossing = settings.thresholds, settings.crossing

    async def judge(self, author_id: int, followers: int) -> None:
        """Raises StoreUnavailable: nothing is decided, or nobody knows; to be done again."""
        row = self._tiers.row(author_id)
        for _ in range(ATTEMPTS):
            wanted = self._wanted(author_id, followers, row)
            if wanted is None:
                return
            row = await self._store.set_tier(row, wanted)
            if row == wanted:
                self._announced(wanted, followers)
                return

    def _wanted(self, author_id: int, followers: int, row: AuthorTier | None) -> AuthorTier | None:
        """None: as it is."""
        is_pull = row is not None and row.pull
        current = Tier.PULL if is_pull else Tier.PUSH
        pull = tier_for(followers, current, self._thresholds) is Tier.PULL
        if pull == is_pull:
            return None
        return self._crossing.announced(author_id, pull, self._clock.now_ms())

    def _announced(self, row: AuthorTier, followers: int) -> None:
        tier = Tier.PULL if row.pull else Tier.PUSH
        self._metrics.tier_changes(tier.value).inc()
        log.info("author %d with %d followers is %s from %d ms on", row.author_id, followers, tier.value, row.switch_ms)
