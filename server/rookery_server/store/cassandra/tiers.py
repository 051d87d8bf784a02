"""`author_tiers`: compare-and-set on the row that was judged by, so no timestamps here."""

from __future__ import annotations

from typing import Any

from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.fanout import AuthorTier
from rookery_server.store.cassandra.lwt import Row, insert_once, read_row, settle
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import compare_and_set, read_serial

TIERS_READ = read_serial("tiers_read", "SELECT author_id, pull, switch_ms FROM author_tiers WHERE part = ?")
TIER_AT_SERIAL = read_serial(
    "tier_at_serial", "SELECT pull, switch_ms FROM author_tiers WHERE part = ? AND author_id = ?"
)
TIER_FIRST = compare_and_set(
    "tier_first", "INSERT INTO author_tiers (part, author_id, pull, switch_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS"
)
TIER_CHANGE = compare_and_set(
    "tier_change",
    "UPDATE author_tiers SET pull = ?, switch_ms = ? WHERE part = ? AND author_id = ? IF pull = ? AND switch_ms = ?",
)
STATEMENTS = (TIERS_READ, TIER_AT_SERIAL, TIER_FIRST, TIER_CHANGE)

_PART = 0


class TierTable:
    _session: CassandraSession

    async def tiers(self) -> tuple[AuthorTier, ...]:
        rows: Any = await self._session.execute(TIERS_READ, (_PART,))
        return tuple(AuthorTier(row["author_id"], row["pull"], row["switch_ms"]) for row in rows)

    async def set_tier(self, expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        key = (_PART, tier.author_id)
        if expected is None:
            values = (*key, tier.pull, tier.switch_ms)
            _, standing = await insert_once(self._session, TIER_FIRST, values, TIER_AT_SERIAL, key)
            return _tier(tier.author_id, standing, tier)
        change = (tier.pull, tier.switch_ms, *key, expected.pull, expected.switch_ms)
        try:
            answer = await self._session.compare_and_set(TIER_CHANGE, change)
            if answer["[applied]"]:
                return tier
            standing = await read_row(self._session, TIER_AT_SERIAL, key)
        except StoreUnavailable as lost:
            if lost.outcome is Outcome.NONE:
                raise
            standing = await settle(self._session, lost, TIER_AT_SERIAL, key)
        return _tier(tier.author_id, standing, expected)


def _tier(author_id: int, standing: Row | None, otherwise: AuthorTier) -> AuthorTier:
    """A row is never removed; of one that is not there, `otherwise` is all there is to say."""
    return otherwise if standing is None else AuthorTier(author_id, standing["pull"], standing["switch_ms"])
