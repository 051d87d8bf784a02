"""Cells on replicas: what Cassandra promises about a row, and what it does not.

Every statement of ours writes all columns of a row under one timestamp, so a row is one `Cell` here.  A replica keeps
the winner of the cells it got, in whatever order they came.  A read asks a quorum of replicas, takes the winners, and
writes them back to the replicas it asked before it answers (blocking read repair): so what one quorum read saw, every
later one sees, for exactly the rows it read and no others.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any


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

    def lives(self, now_ms: int) -> bool:
        return self.expires_ms is None or self.expires_ms > now_ms

    def _rank(self) -> tuple[bool, int, Any]:
        return self.expires_ms is not None, self.expires_ms or 0, self.value


@dataclass(frozen=True, slots=True)
class Mutation:
    """One statement: a cell for one row of one table."""

    table: str
    partition: Hashable
    key: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows of a partition a read asks for: keys strictly between two borders, at most `limit` live ones."""

    above: int | None = None
    below: int | None = None
    limit: int | None = None
    newest_first: bool = False


EVERYTHING = Span()


class _Partition:
    """What one replica holds of a partition: cells by key, and the keys in order."""

    __slots__ = ("cells", "keys")

    def __init__(self) -> None:
        self.cells: dict[int, Cell] = {}
        self.keys: list[int] = []

    def put(self, key: int, cell: Cell) -> None:
        if key not in self.cells:
            bisect.insort(self.keys, key)
        self.cells[key] = cell

    def between(self, span: Span) -> list[int]:
        low = 0 if span.above is None else bisect.bisect_right(self.keys, span.above)
        high = len(self.keys) if span.below is None else bisect.bisect_left(self.keys, span.below)
        keys = self.keys[low:high]
        return keys[::-1] if span.newest_first else keys


class Table:
    """Rows by partition and clustering key, on each of `replicas` replicas."""

    def __init__(self, replicas: int) -> None:
        self._replicas: tuple[dict[Hashable, _Partition], ...] = tuple({} for _ in range(replicas))

    def apply(self, replica: int, partition: Hashable, key: int, cell: Cell) -> None:
        rows = self._replicas[replica].setdefault(partition, _Partition())
        if cell.beats(rows.cells.get(key)):
            rows.put(key, cell)

    def row(self, asked: Iterable[int], partition: Hashable, key: int) -> Cell | None:
        """One row at a quorum, expired or not: `asked` are the replicas that answer."""
        return self._winner(tuple(asked), partition, key)

    def rows(
        self, asked: Iterable[int], partition: Hashable, span: Span = EVERYTHING, now_ms: int = 0
    ) -> dict[int, Cell]:
        """The rows of a span that live at `now_ms`, at a quorum, in the span's order.  Rows behind the last one are not
        read, so not repaired either."""
        asked, live = tuple(asked), dict[int, Cell]()
        held = [rows.between(span) for replica in asked if (rows := self._replicas[replica].get(partition))]
        for key in _united(held, span.newest_first):
            if len(live) == span.limit:
                break
            if key in live:
                continue  # the next replica's copy of it
            cell = self._winner(asked, partition, key)
            if cell is not None and cell.lives(now_ms):
                live[key] = cell
        return live

    def _winner(self, asked: tuple[int, ...], partition: Hashable, key: int) -> Cell | None:
        found: list[Cell | None] = []
        for replica in asked:
            rows = self._replicas[replica].get(partition)
            found.append(None if rows is None else rows.cells.get(key))
        if found.count(found[0]) == len(found):  # as nearly always: they agree
            return found[0]
        winner: Cell | None = None
        for cell in found:
            if cell is not None and cell.beats(winner):
                winner = cell
        if winner is not None:
            for replica, cell in zip(asked, found, strict=True):
                if cell is not winner:
                    self.apply(replica, partition, key, winner)
        return winner


def _united(held: list[list[int]], newest_first: bool) -> Iterable[int]:
    """All keys in order; what several replicas have may come several times."""
    if held and held.count(held[0]) == len(held):
        return held[0]
    return heapq.merge(*held, reverse=newest_first)
