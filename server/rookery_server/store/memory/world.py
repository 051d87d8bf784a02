"""One keyspace, shared by every process that has a client of it.

What is exact: write timestamps and their ties, expiry, logged batches that end whole but are not isolated (each
statement may show at its own time), quorum reads that repair what they read, compare-and-set tables, unknown outcomes.
What is left out because no contract shows it: how partitions are cut, tombstone collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rookery_server.domain.clock import Clock, SystemClock
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.models import User
from rookery_server.store.interface import DeadLetter, Lease, NameClaim, WindowPrint
from rookery_server.store.memory.cells import Mutation, Table
from rookery_server.store.memory.client import MemoryStore
from rookery_server.store.memory.hooks import REPLICAS, StoreHooks

BATCHED = (
    "tweets",
    "user_tweets",
    "following",
    "followers",
    "blocks",
    "blocked_by",
    "mutes",
    "follow_requests",
    "counts",
    "outbox",
)
SHARDS = 16
"""As a keyspace of a small installation."""


@dataclass(slots=True)
class SavedProgress:
    fence: int = 0
    checkpoint_ms: int = 0
    windows: dict[int, tuple[WindowPrint, int]] = field(default_factory=dict)
    """With the Unix ms each expires at."""

    def live_prints(self, now_ms: int) -> dict[int, WindowPrint]:
        self.windows = {window: saved for window, saved in self.windows.items() if saved[1] > now_ms}
        return {window: print_ for window, (print_, _) in self.windows.items()}


@dataclass(frozen=True, slots=True)
class SavedRequest:
    content_hash: bytes
    result_id: int
    expires_ms: int


class MemoryStoreWorld:
    """`clock` is the engine's own: expiry runs by it, and `offsets_ms` are its coordinators' deviations from it."""

    def __init__(self, clock: Clock | None = None, shards: int = SHARDS) -> None:
        self.clock = clock or SystemClock()
        self.shards = shards
        self.offsets_ms = [0, 0, 0]
        self.tables = {name: Table(REPLICAS) for name in BATCHED}
        # Compare-and-set tables are linearizable, so one copy says all there is to say.
        self.users: dict[int, User] = {}
        self.tiers: dict[int, AuthorTier] = {}
        self.names: dict[str, NameClaim] = {}
        self.requests: dict[tuple[int, str], SavedRequest] = {}
        self.leases: dict[str, Lease] = {}
        self.progress: dict[tuple[str, int], SavedProgress] = {}
        self.dead: dict[tuple[str, int], DeadLetter] = {}

    def client(self, clock: Clock | None = None, hooks: StoreHooks | None = None) -> MemoryStore:
        """One process's view: `clock` is that process's."""
        return MemoryStore(self, clock or self.clock, hooks or StoreHooks())

    def apply(self, replica: int, mutation: Mutation) -> None:
        self.tables[mutation.table].apply(replica, mutation.partition, mutation.key, mutation.cell)

    def save_request(self, key: tuple[int, str], content_hash: bytes, result_id: int, expires_ms: int) -> None:
        self.requests[key] = SavedRequest(content_hash, result_id, expires_ms)

    def saved_progress(self, reader: str, shard: int) -> SavedProgress:
        return self.progress.setdefault((reader, shard), SavedProgress())
