"""What the delivery machinery is doing.  Looks, and changes nothing but what waits for an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Cache, Marks
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, NotFound
from rookery_server.domain.limits import ATTEMPT_LIFE_MS, LOG_DAYS
from rookery_server.services.batches import checked_batch
from rookery_server.services.claims import least
from rookery_server.store.interface import DeadLetter, Lease, Store, released_of

__all__ = ["Admin", "DeadLetter", "Lease", "Marks", "OutboxStatus", "ShardStatus", "WatermarksStatus"]

DEAD_SHOWN = 100
"""A person reads no more at once, and one is reason enough to look."""
PENDING_WINDOWS = 60
"""Minutes of the log searched for the oldest pending event; a shard further behind is behind by its checkpoint."""


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """`checkpoint_ms` 0 = never saved.  `oldest_pending_ms`: time of the first event at or after the checkpoint, in
    its first hour (applied ones of the last seconds included); None = none.  `watermark_ms`: the least over all
    primaries, None when one cannot be reached or proves nothing."""

    shard: int
    lease: Lease | None
    checkpoint_ms: int
    checkpoint_fence: int
    oldest_pending_ms: int | None
    watermark_ms: int | None


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """`checkpoint_ms`: the least of all shards, None while one has none.  `dead`: newest first, at most 100, of which
    claims no longer wait for those in `released`."""

    shards: int
    held: int
    checkpoint_ms: int | None
    dead: tuple[DeadLetter, ...]
    more_dead: bool
    released: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class WatermarksStatus:
    """By node; None = not reachable now.  `claim_ms` None when a mark is missing anywhere."""

    nodes: Mapping[str, Marks | None]
    claim_ms: int | None


class Admin:
    """`reader`: whose progress.  `shard_leases`: names of the shards' leases, by number; `other_leases`: worker ids and
    the like."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        reader: str,
        shard_leases: Sequence[str],
        other_leases: Sequence[str],
    ):
        self._store, self._cache, self._clock, self._reader = store, cache, clock, reader
        self._shard_leases, self._other_leases = tuple(shard_leases), tuple(other_leases)

    async def outbox(self, days: int = LOG_DAYS) -> OutboxStatus:
        """`days` of dead letters: 0 = 7, at most 7."""
        days = min(days or LOG_DAYS, LOG_DAYS)
        checkpoints = [
            (await self._store.load_progress(self._reader, shard)).checkpoint_ms for shard in range(self._store.shards)
        ]
        leases = await self._store.read_leases(self._shard_leases)
        dead = await self._store.dead_letters(self._reader, days)
        released = await self._store.dead_letters(released_of(self._reader), days)
        newest = sorted(dead, key=lambda letter: -letter.event_id)
        return OutboxStatus(
            self._store.shards,
            sum(bool(lease.owner) for lease in leases.values()),
            min(checkpoints) or None,
            tuple(newest[:DEAD_SHOWN]),
            len(newest) > DEAD_SHOWN,
            frozenset(letter.event_id for letter in released),
        )

    async def release(self, event_ids: Sequence[int]) -> None:
        """Claims wait no longer for these dead letters: an operator has mended what they concerned (D10).  Again is OK.
        Raises InvalidArgument; NotFound, and releases nothing, if one of them is not filed; StoreUnavailable."""
        wanted = checked_batch(event_ids, "event_ids")
        filed = {letter.event_id: letter for letter in await self._store.dead_letters(self._reader, LOG_DAYS)}
        unknown = [event_id for event_id in wanted if event_id not in filed]
        if unknown:
            raise NotFound(f"no dead letter {unknown[0]}")
        for event_id in wanted:
            await self._store.bury(released_of(self._reader), filed[event_id])

    async def shards(self) -> tuple[ShardStatus, ...]:
        """Every shard of the log, by number."""
        leases = await self._store.read_leases(self._shard_leases)
        marks = await self._marks()
        return tuple(
            [
                await self._shard(shard, leases.get(name), marks)
                for shard, name in enumerate(self._shard_leases[: self._store.shards])
            ]
        )

    async def _shard(self, shard: int, lease: Lease | None, marks: Mapping[str, Marks | None]) -> ShardStatus:
        progress = await self._store.load_progress(self._reader, shard)
        pending = await self._oldest_pending(shard, progress.checkpoint_ms) if progress.checkpoint_ms else None
        watermark = _least_of(shard, marks)
        return ShardStatus(shard, lease, progress.checkpoint_ms, progress.fence, pending, watermark)

    async def _oldest_pending(self, shard: int, since_ms: int) -> int | None:
        """Window by window, since a shard that stood still for hours has too much to read for one answer."""
        until = self._clock.now_ms() + ATTEMPT_LIFE_MS
        for window in events.windows_between(since_ms, until)[:PENDING_WINDOWS]:
            start = max(since_ms, window * events.WINDOW_MS)
            rows = await self._store.read(shard, start, (window + 1) * events.WINDOW_MS)
            if rows:
                return ids.time_ms(rows[0].event_id)
        return None

    async def leases(self) -> tuple[Lease, ...]:
        """Worker ids, shards and whatever else was ever taken, by name."""
        found = await self._store.read_leases(self._shard_leases + self._other_leases)
        return tuple(lease for _, lease in sorted(found.items()))

    async def watermarks(self) -> WatermarksStatus:
        """What each primary proves to hold."""
        nodes = await self._marks()
        return WatermarksStatus(nodes, least(nodes, self._store.shards) or None)

    async def _marks(self) -> Mapping[str, Marks | None]:
        try:
            return await self._cache.read_marks()
        except CacheUnavailable:
            return {}


def _least_of(shard: int, marks: Mapping[str, Marks | None]) -> int | None:
    """The least mark of one shard over all nodes; None when one is missing."""
    of_nodes = [node.marks.get(shard) if node is not None and node.known else None for node in marks.values()]
    known = [mark for mark in of_nodes if mark is not None]
    return min(known) if known and len(known) == len(of_nodes) else None
