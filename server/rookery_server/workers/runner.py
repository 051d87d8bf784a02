"""A worker: leases, polls, watermarks and the bell, each in a loop of its own.

`run` and `drain` are for the process; the steps between them are what the loops call, public so that tests and the
simulation can call them in any order.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from rookery_server.cache.interface import Bell, Deliveries
from rookery_server.domain import events, limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.minting import WallGuard
from rookery_server.metrics import Metrics
from rookery_server.services.clock_gate import ClockGate
from rookery_server.services.tiers import TierDirectory
from rookery_server.store.interface import (
    ClockStore,
    CountStore,
    GraphStore,
    LeaseStore,
    OutboxStore,
    RelationStore,
    TierStore,
    TweetStore,
    UserStore,
    released_of,
)
from rookery_server.workers import watermark
from rookery_server.workers.apply import Applier
from rookery_server.workers.counts import LATE_REST, Recounts, ShardCounts
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.pace import Pace
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.shard import ShardAtWork, Sleep
from rookery_server.workers.shard_leases import ShardLeases
from rookery_server.workers.tiering import Tiering

log = logging.getLogger(__name__)

COUNT_STEP_S = 0.5
"""How often each counter looks for what is due: a tenth of the shortest pause."""


class WorkerStore(
    UserStore, TweetStore, GraphStore, RelationStore, TierStore, CountStore, OutboxStore, LeaseStore, ClockStore,
    Protocol,
):  # fmt: skip
    """What a worker needs of the truth."""


class WorkerCache(Deliveries, Bell, Protocol):
    """What a worker needs of the cache."""


class Worker:
    """One process's share of the log.  `owner` names this process and no other, ever."""

    def __init__(
        self,
        store: WorkerStore,
        cache: WorkerCache,
        clock: Clock,
        settings: WorkerSettings,
        owner: str,
        metrics: Metrics,
        *,
        sleep: Sleep = asyncio.sleep,
        choice: random.Random | None = None,
    ) -> None:
        self._store, self._cache, self._clock, self._settings = store, cache, clock, settings
        self.metrics, self._sleep = metrics, sleep
        self._guard = WallGuard(clock)
        self._gate = ClockGate(store, self._guard, seen=metrics.ids_clock_offset().set)
        self._fleet = Fleet(cache)
        choice = choice or random.Random()
        self._tiers = TierDirectory(store, clock, settings.crossing)
        self._pace = Pace(clock, sleep)
        self._applier = Applier(store, cache, self._fleet, self._tiers, clock, self._pace, settings, metrics, choice)
        tiering = Tiering(store, self._tiers, clock, settings, metrics)
        self._recounts = Recounts(store, clock, tiering, settings, metrics, self._pace)
        self._leases = ShardLeases(
            store, clock, owner, store.shards, settings.lease_free_after_s, self, choice,
            lambda kind, change: metrics.lease_transitions(kind, change).inc(),
        )  # fmt: skip
        self._arriving: dict[int, int] = {}
        self._shards: dict[int, ShardAtWork] = {}
        self._owned_changed = asyncio.Event()
        self._leasing = asyncio.Lock()
        self._jumps = 0
        self._drained = False
        self._loops: list[asyncio.Task[None]] = []

    @property
    def shards(self) -> frozenset[int]:
        """Those this worker reads now."""
        return frozenset(self._shards)

    @property
    def clock_agrees(self) -> bool:
        """For readiness."""
        return self._gate.open

    # --- the process --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Works until drained.  A bug in a loop ends them all: a worker that half works is worse than none."""
        settings = self._settings
        await self.check_clock()
        await self.read_tiers()
        loops: Sequence[tuple[Callable[[], Awaitable[None]], float]] = (
            (self.check_clock, settings.clock_every_s),
            (self.open_links, settings.links_every_s),
            (self.keep_leases, settings.lease_renew_s),
            (self.poll, settings.poll_every_s),
            (self.look_after, settings.save_every_s),
            (self.read_tiers, settings.crossing.directory_s),
            *((self.count, COUNT_STEP_S) for _ in range(settings.recounts_at_once)),
            (self.catch_up, COUNT_STEP_S),
            (self.listen, 0.0),
        )
        self._loops = [asyncio.create_task(self._every(step, period)) for step, period in loops]
        try:
            await asyncio.gather(*self._loops)
        except asyncio.CancelledError:
            if not self._drained:
                raise
        finally:
            await self._end_loops()
            for shard in list(self._shards):
                await self.lost(shard)

    async def drain(self) -> None:
        """Stops claiming, finishes the pages in hand, moves W, saves, releases; `run` returns then.  What takes longer
        than the time for it is left to the successors, who wait for the leases to show no life."""
        self._drained = True
        giving = asyncio.create_task(self._give_all())
        patience = asyncio.ensure_future(self._sleep(self._settings.drain_s))
        try:
            await asyncio.wait({giving, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not giving.done():
                log.warning("not done in time: %d shards are left to time out", len(self._shards))
        finally:
            for task in (giving, patience):
                task.cancel()
            await asyncio.gather(giving, patience, return_exceptions=True)
            await self._end_loops()
        if not giving.cancelled():
            giving.result()

    async def _give_all(self) -> None:
        async with self._leasing:
            await self._leases.give_all()

    async def _end_loops(self) -> None:
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _every(self, step: Callable[[], Awaitable[None]], period_s: float) -> None:
        while True:
            started = self._clock.monotonic()
            await step()
            await self._sleep(max(0.0, started + period_s - self._clock.monotonic()))

    # --- leases -------------------------------------------------------------------------------------------------

    async def check_clock(self) -> None:
        await self._gate.measure()

    async def keep_leases(self) -> None:
        """Renews, gives back what is beyond the fair share, takes what is free.  Not with a clock that is wrong."""
        async with self._leasing:
            if self._drained or not await self._fit():
                return
            await self._leases.step()
            self.metrics.lease_renewal_age("shard").set(self._leases.renewal_age_s())
            self.metrics.outbox_shards("owned").set(len(self._shards))
            self.metrics.outbox_shards("unowned").set(self._leases.unowned)

    async def _fit(self) -> bool:
        """Rules L9, L10 and C9.  A jump of the wall clock loses every lease."""
        if self._guard.jumped() or self._guard.jumps != self._jumps:
            self._guard.rebase()
            self._jumps = self._guard.jumps
            for shard in self._leases.owned():
                await self._leases.lose(shard)
            await self._gate.measure()
            return False
        return self._gate.open

    async def gained(self, shard: int, fence: int) -> None:
        self._arriving[shard] = fence
        await self._arrive()

    async def _arrive(self) -> None:
        """Begins with what was gained and could not be begun before: where the predecessor saved its position."""
        for shard, fence in list(self._arriving.items()):
            try:
                progress = await self._store.load_progress(self._settings.reader, shard)
                counted = await self._store.load_progress(self._settings.counts_reader, shard)
            except StoreUnavailable:
                continue
            if self._arriving.get(shard) != fence:
                continue  # lost meanwhile, perhaps gained again: whoever asked under the newer fence begins it
            del self._arriving[shard]
            counts = ShardCounts(
                self._store, self._store, self._recounts, self._settings, shard, fence, counted.checkpoint_ms,
                progress.checkpoint_ms or self._clock.now_ms(),
            )  # fmt: skip
            self._shards[shard] = ShardAtWork(
                shard, fence, progress, self._store, self._cache, self._fleet, self._applier, counts, self._clock,
                self._settings, self.metrics, self._sleep,
            )  # fmt: skip
            self._owned_changed.set()
            log.info("shard %d taken with fence %d from %d ms", shard, fence, progress.checkpoint_ms)

    async def giving(self, shard: int) -> None:
        self._arriving.pop(shard, None)
        at_work = self._shards.get(shard)
        if at_work is None:
            return
        await at_work.finish_in_hand()
        if await self._fit():
            await self._advance([at_work])
            await at_work.save()
        self._drop(shard)

    async def lost(self, shard: int) -> None:
        self._arriving.pop(shard, None)
        at_work = self._shards.get(shard)
        if at_work is not None:
            self._drop(shard)
            await at_work.abandon()

    def _drop(self, shard: int) -> None:
        if self._shards.pop(shard, None) is not None:
            self.metrics.shard_released(shard)
            self._owned_changed.set()

    # --- the log ------------------------------------------------------------------------------------------------

    async def open_links(self) -> None:
        await self._fleet.refresh()

    async def poll(self) -> None:
        """One burst over all owned shards, then W of each in every node, then recoveries where needed."""
        await self._arrive()
        if not await self._fit():
            return
        start_ms = self._clock.now_ms()
        await asyncio.gather(*(shard.poll(start_ms) for shard in self._working()))
        if not await self._fit():
            return
        await self._advance(self._working())
        for shard in self._working():
            shard.recover()
        self.metrics.fanout_open_events().set(sum(shard.report() for shard in self._working()))

    def _working(self) -> list[ShardAtWork]:
        """Shards whose lease is held beyond doubt."""
        return [at_work for shard, at_work in self._shards.items() if self._leases.holds(shard)]

    async def _advance(self, shards: Sequence[ShardAtWork]) -> None:
        targets = {shard.shard: (shard.marks, shard.target_ms()) for shard in shards}
        await watermark.advance(self._cache, self._fleet, targets)

    async def look_after(self) -> None:
        """Audits what is due and saves the position of every shard; a refused save is a lost lease."""
        if not await self._fit():
            return
        await asyncio.gather(*(self._look_after(shard) for shard in self._working()))
        self._recounts.report()
        await self._look_after_dead()

    async def _look_after(self, shard: ShardAtWork) -> None:
        await shard.audit()
        if not await shard.save() and self._shards.get(shard.shard) is shard:
            log.warning("shard %d: a higher fence has written", shard.shard)
            await self._leases.lose(shard.shard)

    async def _look_after_dead(self) -> None:
        """Lets go what was released.  The number is everybody's: the owner of the first shard says it.  Where there
        are none, as nearly always, nobody asks what was released."""
        holding = [shard for shard in self._working() if shard.holds_dead]
        try:
            dead = await self._dead(self._settings.reader) if 0 in self._shards else set[int]()
            released = await self._dead(released_of(self._settings.reader)) if holding or dead else set[int]()
        except StoreUnavailable:
            return
        for shard in holding:
            shard.release(released)
        if 0 in self._shards:
            self.metrics.outbox_dead().set(len(dead - released))

    async def _dead(self, reader: str) -> set[int]:
        return {letter.event_id for letter in await self._store.dead_letters(reader, limits.LOG_DAYS)}

    # --- tiers and counts ---------------------------------------------------------------------------------------

    async def read_tiers(self) -> None:
        await self._tiers.refresh()

    async def count(self) -> None:
        """Counts what is due.  Not with a clock that is wrong: counts are dated."""
        if self._gate.open:
            await self._recounts.step()

    async def catch_up(self) -> None:
        """Reads what predecessors left uncounted, a window of one shard after another, until none is left or enough
        waits to be counted; a store that does not answer is asked again later."""
        for shard in self._working():
            while self._shards.get(shard.shard) is shard and shard.counts.behind and self._recounts.takes_late:
                started = self._clock.monotonic()
                try:
                    await shard.counts.catch_up()
                except StoreUnavailable as error:
                    log.info("shard %d: what was not counted is not read: %s", shard.shard, error)
                    return
                await self._pace.give_way(self._clock.monotonic() - started, LATE_REST)

    # --- the bell -----------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Listens for the shards owned now, until they change or the connection ends."""
        self._owned_changed.clear()
        changed = asyncio.create_task(self._changed())
        hearing = asyncio.create_task(self._hear(frozenset(self._shards)))
        try:
            await asyncio.wait({hearing, changed}, return_when=asyncio.FIRST_COMPLETED)
            if not changed.done():
                await self._sleep(self._settings.links_every_s)
        finally:
            for task in (hearing, changed):
                task.cancel()
            await asyncio.gather(hearing, changed, return_exceptions=True)

    async def _changed(self) -> None:
        await self._owned_changed.wait()

    async def _hear(self, shards: frozenset[int]) -> None:
        if not shards:
            await asyncio.Event().wait()
        try:
            async for shard, raw in self._cache.listen(shards):
                self.heard(shard, raw)
        except CacheUnavailable:
            return

    def heard(self, shard: int, raw: bytes) -> None:
        """One ring.  What cannot be decoded is left for the poll to bury."""
        at_work = self._shards.get(shard)
        if at_work is None or not self._leases.holds(shard) or not self._gate.open:
            return
        try:
            event = events.decode(raw)
        except events.Undecodable:
            return
        if events.shard_of(event.subject, self._store.shards) == shard:
            at_work.hear(event)
