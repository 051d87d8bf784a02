"""Whom a reader does not want to hear of at home.  Rule E17 of docs/protocols/edge.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Mute
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.newest_first import newest_first
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.tokens import mute_token
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store


@dataclass(frozen=True, slots=True)
class MutesPage:
    """Newest first; those that have ended are not among them."""

    mutes: tuple[Mute, ...]
    next_cursor: PageCursor | None


class Mutes:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        edges: Edges,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock, self._new_id = store, cache, clock, new_id
        self._edges, self._quotas, self._writes, self._witness = edges, quotas, writes, witness

    def check_time(self, until_ms: int) -> None:
        """Raises InvalidArgument for an end that is not ahead; 0 = never."""
        if until_ms and until_ms <= self._clock.now_ms():
            raise InvalidArgument(Violation("expire_time", "in_future", "must be a time to come"))

    async def mute(self, call: Call, muted_id: int, until_ms: int) -> EdgeChanged:
        """Raises RateLimited, IdsRefused, StoreUnavailable."""
        old = await self._store.mute(call.caller_id, muted_id)
        same = old is not None and old.on and old.until_ms == until_ms
        if old is not None and same and self._edges.certain(old):
            return EdgeChanged(True, mute_token(call.caller_id, muted_id, self._edges.after_all_ms()))
        await self._quotas.charge(call, Quota.BLOCKS)
        if old is not None and same:
            return await self._write(call, old)
        return await self._write(call, self._next(call, muted_id, old, until_ms, on=True))

    async def unmute(self, call: Call, muted_id: int) -> EdgeChanged:
        """OK also when there was nothing to lift.  Raises IdsRefused, StoreUnavailable."""
        old = await self._store.mute(call.caller_id, muted_id)
        if old is not None and old.on:
            return await self._write(call, self._next(call, muted_id, old, 0, on=False))
        # Nothing to write, but an earlier attempt may have died between its batch and its stub (E14).
        settled = old is None or await self._cache.stub_relations(call.caller_id, old.version_us)
        return EdgeChanged(settled, mute_token(call.caller_id, muted_id, self._edges.after_all_ms()))

    def _next(self, call: Call, muted_id: int, old: Mute | None, until_ms: int, on: bool) -> Mute:
        version = ids.later_timestamp_us(self._new_id(), old.version_us if old else 0)
        return Mute(call.caller_id, muted_id, on, version, until_ms)

    async def _write(self, call: Call, mute: Mute) -> EdgeChanged:
        draft = Event(0, EventKind.MUTE, mute.muter_id, mute.muted_id, mute.version_us)
        event = await self._writes.attempt(call, draft, lambda event: self._store.write_mute(mute, event))
        settled = await self._cache.stub_relations(mute.muter_id, mute.version_us, event.id)
        if mute.on:
            self._witness.removal("mute", settled)
        self._cache.ring(events.shard_of(mute.muter_id, self._store.shards), events.encode(event))
        return EdgeChanged(settled, mute_token(mute.muter_id, mute.muted_id, ids.time_ms(event.id)))

    async def list(self, call: Call, page_size: int, cursor: PageCursor | None) -> MutesPage:
        """Whom the caller mutes now.  Raises InvalidArgument, StoreUnavailable."""
        now_ms = self._clock.now_ms()
        standing = [mute for mute in await self._store.mutes(call.caller_id) if mute.stands(now_ms)]
        return MutesPage(*newest_first(standing, lambda mute: mute.muted_id, page_size, cursor))
