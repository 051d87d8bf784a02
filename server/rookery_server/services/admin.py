from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Marks
from rookery_server.store.interface import DeadLetter, Lease


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """`checkpoint_ms` 0 = never saved.  `oldest_pending_ms`: time of the first event at or after the checkpoint
    (applied ones of the last seconds included), None = none.  `watermark_ms`: the least over all primaries, None when
    one cannot be reached or proves nothing."""

    shard: int
    lease: Lease | None
    checkpoint_ms: int
    checkpoint_fence: int
    oldest_pending_ms: int | None
    watermark_ms: int | None


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """`checkpoint_ms`: the least of all shards, None while one has none.  `dead`: newest first, at most 100."""

    shards: int
    held: int
    checkpoint_ms: int | None
    dead: tuple[DeadLetter, ...]
    more_dead: bool


@dataclass(frozen=True, slots=True)
class WatermarksStatus:
    """By node; None = not reachable now.  `claim_ms` None when a mark is missing anywhere."""

    nodes: Mapping[str, Marks | None]
    claim_ms: int | None


class Admin:
    """What the delivery machinery is doing.  Changes nothing."""

    async def outbox(self, days: int = 7) -> OutboxStatus:
        """`days` of dead letters: 0 = 7, at most 7."""
        raise NotImplementedError

    async def shards(self) -> tuple[ShardStatus, ...]: ...

    async def leases(self) -> tuple[Lease, ...]:
        """Worker ids and shards that were ever taken, by name."""
        raise NotImplementedError

    async def watermarks(self) -> WatermarksStatus: ...
