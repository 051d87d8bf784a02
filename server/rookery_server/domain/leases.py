"""What can be decided about leases without asking anybody.  The rules: docs/protocols/lease.md."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from rookery_server.domain import ids

WORKER_IDS = tuple(f"worker-id/{number}" for number in range(ids.WORKERS))


def worker_id_of(name: str) -> int:
    return int(name.removeprefix("worker-id/"))


def shard_name(shard: int) -> str:
    return f"shard/{shard}"


def shard_of_name(name: str) -> int:
    return int(name.removeprefix("shard/"))


def seat_name(seat: int) -> str:
    """A worker's announcement of itself: there are as many seats as shards, since more workers than shards are idle."""
    return f"seat/{seat}"


@dataclass(frozen=True, slots=True)
class IdLease:
    """The right to mint with `worker`, for ids whose time is above `floor_ms` and not above `ceiling_ms`."""

    worker: int
    floor_ms: int
    ceiling_ms: int


class Watch:
    """For how long, on one's own monotonic clock, others' leases have shown no sign of life."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Hashable, float]] = {}

    def see(self, name: str, sign: Hashable, now: float) -> float:
        """Seconds for which `sign` (whatever changes with each renewal) has been the same."""
        known = self._since.get(name)
        if known is None or known[0] != sign:
            self._since[name] = sign, now
            return 0.0
        return now - known[1]

    def forget(self, name: str) -> None:
        self._since.pop(name, None)


def fair_share(shards: int, owners: Collection[str]) -> int:
    """How many shards each of `owners` should hold at most; all of them when nobody else is seen."""
    return -(-shards // max(1, len(set(owners))))
