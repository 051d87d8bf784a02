"""Cells on replicas: what Cassandra promises about a row, and what it does not.

Every statement of ours writes all columns of a row under one timestamp, so a row is one `Cell` here.  A replica keeps
the winner of the cells it got, in whatever order they came.  A read asks a quorum of replicas, takes the winners, and
writes them back to the replicas it asked before it answers (blocking read repair): so what one quorum read saw, every
later one sees, for exactly the rows it read and no others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Replica = Mapping[int, "Cell"]


@dataclass(frozen=True, slots=True)
class Cell:
    """`expires_ms`: Unix ms from which it counts as a tombstone: unseen, but still in the way of older cells."""

    value: Any
    timestamp_us: int
    expires_ms: int | None = None

    def beats(self, other: Cell | None) -> bool:
        """Cassandra's reconciliation: the later timestamp; of equal ones what expires, then what expires later, then
        the greater value (`Cells.resolveRegular` of its sources)."""
        if other is None or self.timestamp_us != other.timestamp_us:
            return other is None or self.timestamp_us > other.timestamp_us
        return self._rank() > other._rank()

    def _rank(self) -> tuple[bool, int, Any]:
        return self.expires_ms is not None, self.expires_ms or 0, self.value


@dataclass(frozen=True, slots=True)
class Mutation:
    """One statement: a cell for one row of one table."""

    table: str
    partition: Hashable
    key: int
    cell: Cell


class Table:
    """Rows by partition and clustering key, on each of `replicas` replicas."""

    def __init__(self, replicas: int) -> None:
        self._replicas: tuple[dict[Hashable, dict[int, Cell]], ...] = tuple(defaultdict(dict) for _ in range(replicas))

    def apply(self, replica: int, partition: Hashable, key: int, cell: Cell) -> None:
        rows = self._replicas[replica][partition]
        if cell.beats(rows.get(key)):
            rows[key] = cell

    def row(self, asked: Iterable[int], partition: Hashable, key: int) -> Cell | None:
        """One row at a quorum: `asked` are the replicas that answer."""
        return self._winner(tuple(asked), partition, key)

    def rows(self, asked: Iterable[int], partition: Hashable) -> dict[int, Cell]:
        """A whole partition at a quorum, in no order."""
        asked = tuple(asked)
        held = {key for replica in asked for key in self._replicas[replica].get(partition, ())}
        winners = ((key, self._winner(asked, partition, key)) for key in held)
        return {key: cell for key, cell in winners if cell is not None}

    def _winner(self, asked: tuple[int, ...], partition: Hashable, key: int) -> Cell | None:
        found = [self._replicas[replica].get(partition, {}).get(key) for replica in asked]
        winner: Cell | None = None
        for cell in found:
            if cell is not None and cell.beats(winner):
                winner = cell
        if winner is not None:
            for replica, cell in zip(asked, found, strict=True):
                if cell is not winner:
                    self._replicas[replica][partition][key] = winner
        return winner
