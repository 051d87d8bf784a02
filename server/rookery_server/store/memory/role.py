"""What every role stands on: reads at a quorum, logged batches, compare-and-set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rookery_server.domain import events
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event
from rookery_server.domain.ids import write_timestamp_us
from rookery_server.domain.limits import REMOVED_EDGE_LIFE_S
from rookery_server.store.memory.cells import EVERYTHING, Cell, Mutation, Span
from rookery_server.store.memory.hooks import Commit, StoreHooks

if TYPE_CHECKING:
    from rookery_server.store.memory.world import MemoryStoreWorld

T = TypeVar("T")
_OUTBOX_LIFE_MS = 7 * 86_400_000
"""Longer than the last audit of a window, a day after it closed."""


class Role:
    def __init__(self, world: MemoryStoreWorld, clock: Clock, hooks: StoreHooks) -> None:
        self._world, self._clock, self._hooks = world, clock, hooks

    def _now_ms(self) -> int:
        """The engine's time, not this process's."""
        return self._world.clock.now_ms()

    async def _compare_and_set(self, operation: str, change: Callable[[], T]) -> T:
        """Reads of such tables too: at SERIAL."""
        await self._hooks.before(operation)
        result = change()
        await self._hooks.after(operation)
        return result

    async def _row(self, operation: str, table: str, partition: Hashable, key: int) -> Cell | None:
        return (await self._each(operation, table, [(partition, key)])).get((partition, key))

    async def _each(
        self, operation: str, table: str, rows: Iterable[tuple[Hashable, int]]
    ) -> dict[tuple[Hashable, int], Cell]:
        """Many rows by (partition, key), each read by itself; absent ones are absent."""
        await self._hooks.before(operation)
        found = {row: self._world.tables[table].row(self._hooks.asked(operation), *row) for row in rows}
        now_ms = self._now_ms()
        await self._hooks.after(operation)
        return {row: cell for row, cell in found.items() if cell is not None and cell.lives(now_ms)}

    async def _rows(self, operation: str, table: str, partition: Hashable, span: Span = EVERYTHING) -> dict[int, Cell]:
        """In the span's order."""
        await self._hooks.before(operation)
        rows = self._world.tables[table].rows(self._hooks.asked(operation), partition, span, self._now_ms())
        await self._hooks.after(operation)
        return rows

    async def _partitions(
        self, operation: str, table: str, partitions: Iterable[Hashable]
    ) -> dict[Hashable, dict[int, Cell]]:
        """All rows of each, in order."""
        await self._hooks.before(operation)
        now_ms, rows = self._now_ms(), self._world.tables[table].rows
        found = {one: rows(self._hooks.asked(operation), one, EVERYTHING, now_ms) for one in partitions}
        await self._hooks.after(operation)
        return found

    async def _batch(self, operation: str, mutations: Sequence[Mutation]) -> None:
        """All of it in the end or nothing at all, but each statement on each replica at its own time."""
        await self._hooks.before(operation)
        commit = self._hooks.commit(operation, [mutation.table for mutation in mutations])
        if commit.early:
            self._show(mutations, commit, commit.early)
            try:
                await self._hooks.between(operation)
            finally:  # whoever waited for it or not: what is in the batchlog is finished
                self._show(mutations, commit, range(len(mutations)))
        else:
            self._show(mutations, commit, range(len(mutations)))
        if not commit.lost:
            self._leave_for_later(mutations, commit.now)
        await self._hooks.after(operation)
        if not commit.acked:
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    def _show(self, mutations: Sequence[Mutation], commit: Commit, which: Iterable[int]) -> None:
        for at in which:
            for replica in commit.now[at]:
                self._world.apply(replica, mutations[at])

    def _leave_for_later(self, mutations: Sequence[Mutation], now: Sequence[Sequence[int]]) -> None:
        for mutation, done in zip(mutations, now, strict=True):
            for replica in {0, 1, 2} - set(done):
                self._hooks.later(functools.partial(self._world.apply, replica, mutation))

    def _state(self, on: bool, version_us: int, value: Any = None) -> Cell:
        """A row that says on or off (or `value`); what is off lives 8 days."""
        expires_ms = None if on else self._now_ms() + REMOVED_EDGE_LIFE_S * 1000
        return Cell(on if value is None else value, version_us, expires_ms)

    def _event(self, event: Event) -> Mutation:
        shard = events.shard_of(event.subject, self._world.shards)
        cell = Cell(events.encode(event), write_timestamp_us(event.id), self._now_ms() + _OUTBOX_LIFE_MS)
        return Mutation("outbox", (shard, events.window_of(event.id)), event.id, cell)
