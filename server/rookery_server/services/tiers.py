"""Which authors are not, or were not, delivered to lists: a copy of a few rows, read again every few seconds.

The rules: docs/protocols/tier.md.  Shared by servers and workers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.fanout import AuthorTier, Crossing
from rookery_server.store.interface import TierStore

log = logging.getLogger(__name__)

AS_SHIPPED = Crossing()


class TierDirectory:
    """Every row of `author_tiers` as of the last read that succeeded; its age counts from before that read.  Rows that
    show late are announced anew."""

    def __init__(self, store: TierStore, clock: Clock, crossing: Crossing = AS_SHIPPED) -> None:
        self._store, self._clock, self._crossing = store, clock, crossing
        self._rows: Mapping[int, AuthorTier] = {}
        self._stored: Mapping[int, AuthorTier] = {}
        self._late: Mapping[AuthorTier, AuthorTier] = {}
        """A row that showed late → what it counts as here."""
        self._read_at: float | None = None

    def rows(self) -> Mapping[int, AuthorTier]:
        """By author.  Raises StoreUnavailable while nothing young enough is known."""
        age = None if self._read_at is None else self._clock.monotonic() - self._read_at
        if age is None or age > self._crossing.directory_max_age_s:
            raise StoreUnavailable
        return self._rows

    def row(self, author_id: int) -> AuthorTier | None:
        """None: an author like most.  Raises as `rows`."""
        return self.rows().get(author_id)

    def merged(self) -> frozenset[int]:
        """The authors whose lists readers merge now.  Raises as `rows`."""
        now_ms = self._clock.now_ms()
        return frozenset(row.author_id for row in self.rows().values() if row.merged_at(now_ms))

    def rebuild_before_ms(self) -> int:
        """A home list whose build began before counts as missing (T5)."""
        return self._clock.now_ms() - round(self._crossing.rebuild_after_s * 1000)

    async def refresh(self) -> None:
        """Reads all rows; a store that does not answer leaves what is known, which grows older."""
        started, now_ms = self._clock.monotonic(), self._clock.now_ms()
        try:
            rows = await self._store.tiers()
        except StoreUnavailable as error:
            log.info("the tiers of authors were not read: %s", error)
            return
        self._take(rows, now_ms)
        self._read_at = started
        for row, anew in self._late.items():
            await self._announce(row, anew)

    def _take(self, rows: Iterable[AuthorTier], now_ms: int) -> None:
        """A change that shows later than its notice allows, and was not there when this process read before, is not
        what anybody prepared for: here it counts as announced now, until the row says so itself (T10)."""
        stored, known = {row.author_id: row for row in rows}, self._stored
        late = {row: self._late[row] for row in stored.values() if row in self._late}
        if self._read_at is not None:
            for author_id, row in stored.items():
                before = known.get(author_id)
                turned = row.pull != (before is not None and before.pull)
                if turned and not self._crossing.in_time(row, now_ms):
                    late[row] = self._crossing.announced(author_id, row.pull, now_ms)
        self._stored, self._late = stored, late
        self._rows = {author_id: late.get(row, row) for author_id, row in stored.items()}

    async def _announce(self, row: AuthorTier, anew: AuthorTier) -> None:
        try:
            stands = await self._store.set_tier(row, anew)
        except StoreUnavailable:
            return  # the next refresh tries again
        log.warning("the tier of author %d showed late: it changes at %d ms", row.author_id, stands.switch_ms)

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Reads for ever."""
        while True:
            await self.refresh()
            await sleep(self._crossing.directory_s)
