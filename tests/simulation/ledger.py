"""What the log holds, what was applied, and how far anybody says it was: claim C1, C2 and delivery D13, word for word.

An event counts as acked when its batch was, within the life of an attempt; the service acts on nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rookery_server.cache.interface import Cache, Link
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.cache.memory.values import StoredMarks
from rookery_server.domain import events, ids
from rookery_server.domain.events import Event
from rookery_server.domain.limits import ATTEMPT_LIFE_MS, REREAD_MS
from rookery_server.store.interface import Store, WindowPrint
from rookery_server.store.memory.cells import Mutation
from rookery_server.workers.runner import Worker
from tests.support.faults import SkewedClock
from tests.support.oracle import Wrong


class Ledger:
    """`broken`: told of the first W or checkpoint that passes an acked event that is not applied."""

    def __init__(self, shards: int, cache: MemoryCacheWorld, broken: Callable[[BaseException], None]) -> None:
        self._cache = cache
        self._waiting: dict[int, dict[int, Event]] = {shard: {} for shard in range(shards)}
        self._applied: set[int] = set()
        self._highest: dict[int, int] = dict.fromkeys(range(shards), 0)
        self._broken = broken

    # --- what happens -------------------------------------------------------------------------------------------

    def acked(self, event: Event) -> None:
        shard = events.shard_of(event.subject, len(self._waiting))
        if event.id in self._applied:
            return
        self._waiting[shard][event.id] = event
        if ids.time_ms(event.id) <= self._highest[shard]:
            self._broken(Wrong(f"{event} is acked, and W of shard {shard} was at {self._highest[shard]} before"))

    def applied(self, event: Event) -> None:
        self._applied.add(event.id)
        self._waiting[events.shard_of(event.subject, len(self._waiting))].pop(event.id, None)

    def passed(self, shard: int, time_ms: int, *nodes: str) -> list[Event]:
        """What somebody passes who says so much of these nodes.  One that was emptied vouches for nothing older than
        ten seconds before: whatever was to be done to its lists, they are gone (claim C7)."""
        since_ms = min(self._emptied_ms(node) for node in nodes) - REREAD_MS
        waiting = self._waiting[shard].items()
        return [event for id_, event in waiting if since_ms <= ids.time_ms(id_) <= time_ms]

    def _emptied_ms(self, name: str) -> int:
        node = self._cache.nodes[name]
        marks = node.get(node.watermarks_key)
        return marks.flushed_ms if isinstance(marks, StoredMarks) else 0

    def claimed(self, what: str, shard: int, time_ms: int, passed: Sequence[Event]) -> None:
        self._highest[shard] = max(self._highest[shard], time_ms)
        if passed:
            self._broken(Wrong(f"the {what} of shard {shard} is moved to {time_ms}, past {passed[0]}"))

    # --- where it is seen ---------------------------------------------------------------------------------------

    def listen(self, store: Store, clock: SkewedClock) -> None:
        """To one process's writes."""
        batch = store._batch  # type: ignore[attr-defined]  # one place through which every logged batch goes

        async def watched(operation: str, mutations: Sequence[Mutation]) -> None:
            await batch(operation, mutations)
            for mutation in mutations:
                if mutation.table == "outbox" and clock.now_ms() - ids.time_ms(mutation.key) <= ATTEMPT_LIFE_MS:
                    self.acked(events.decode(mutation.cell.value))

        _replace(store, "_batch", watched)

    def watch(self, worker: Worker, store: Store, cache: Cache) -> None:
        """What one worker applies and says."""
        applier, advance, save = worker._applier, cache.advance, store.save_progress
        apply = applier.apply

        async def applying(event: Event, **how: Any) -> None:
            await apply(event, **how)
            self.applied(event)

        async def advancing(link: Link, moves: Mapping[int, tuple[int | None, int]]) -> dict[int, bool]:
            passed = {shard: self.passed(shard, target, link.node) for shard, (_, target) in moves.items()}
            done = await advance(link, moves)
            for shard in [shard for shard in moves if done[shard]]:
                self.claimed("W", shard, moves[shard][1], passed[shard])
            return done

        async def saving(
            reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
        ) -> bool:
            passed = self.passed(shard, checkpoint_ms - 1, *self._cache.nodes)
            saved = await save(reader, shard, fence, checkpoint_ms, windows)
            if saved:
                self.claimed("checkpoint", shard, 0, passed)
            return saved

        _replace(applier, "apply", applying)
        _replace(cache, "advance", advancing)
        _replace(store, "save_progress", saving)


def _replace(of: object, name: str, by: Callable[..., Awaitable[Any]]) -> None:
    vars(of)[name] = by
