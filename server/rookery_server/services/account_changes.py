"""Changing an account's row so that no copy of it outlives the change.  The rules: docs/protocols/account.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import Aborted, NotFound, Outcome, StoreUnavailable, Unavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.limits import ACCOUNT_BEGIN_MS, ACCOUNT_TRIES, ATTEMPT_LIFE_MS, COPY_WAIT_S
from rookery_server.domain.models import User
from rookery_server.services.calls import Call
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store

Wanted = Callable[[User], User]
"""From the row that stands to the row that is wanted, the same if it is so already; raises to refuse."""


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """`settled`: no call begun from now on, on any server, goes by the old state (A14)."""

    user: User
    settled: bool


@dataclass(frozen=True, slots=True)
class _Written:
    """`proven`: the stub over `p:` stands on all replicas."""

    user: User
    proven: bool


class AccountChanges:
    """`sleep` waits by the monotonic clock."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        writes: StartedWrites,
        witness: Witness = SILENT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._store, self._cache, self._clock, self._new_id = store, cache, clock, new_id
        self._writes, self._witness, self._sleep = writes, witness, sleep

    async def change(self, call: Call, user_id: int, wanted: Wanted, *, copied: bool) -> AccountChanged:
        """Makes the row what `wanted` says.  `copied`: servers keep copies of what changes, so it settles only after
        their life.  Raises NotFound, Aborted (changed by somebody else again and again), whatever `wanted` raises,
        IdsRefused, StoreUnavailable."""
        written = await self._writes.run(self._write(call, user_id, wanted))
        settled = written.proven and (not copied or await self._outlive_copies(call))
        self._witness.removal("account", settled)
        return AccountChanged(written.user, settled)

    async def _outlive_copies(self, call: Call) -> bool:
        """Whether every copy read before the stub is dead by now (A11)."""
        if call.left(self._clock) < COPY_WAIT_S:
            return False
        await self._sleep(COPY_WAIT_S)
        return True

    async def _write(self, call: Call, user_id: int, wanted: Wanted) -> _Written:
        for _ in range(ACCOUNT_TRIES):
            # Minted before anything is written: a refusal to mint then proves that nothing was.
            change_id = self._new_id()
            standing = await self._store.settled_user(user_id)
            if standing is None:
                raise NotFound("no such user")
            target = wanted(standing)
            if target != standing:
                target = replace(target, etag=f"{change_id:x}")
                if not await self._replace(call, standing, target):
                    continue
            return _Written(target, await self._cache.stub_profile(user_id, change_id))
        raise Aborted("the account was changed meanwhile")

    async def _replace(self, call: Call, standing: User, target: User) -> bool:
        """Event, then compare-and-set; False: somebody else was first, and nothing was written."""
        event, began = await self._announce_in_time(call, target.id)
        if (await self._store.replace_user(target, standing.etag)).etag != target.etag:
            return False
        if self._writes.age_ms(event, began) > ATTEMPT_LIFE_MS:
            event, _ = await self._announce_again(call, target.id)
        self._cache.ring(events.shard_of(event.subject, self._store.shards), events.encode(event))
        return True

    async def _announce_in_time(self, call: Call, user_id: int) -> tuple[Event, float]:
        """An event young enough to begin under (A3), and the monotonic time right before its id was minted."""
        for _ in range(ACCOUNT_TRIES):
            try:
                event, began = await self._announce(call, user_id)
            except StoreUnavailable as error:
                # Whatever became of the event: the row was not touched.
                raise StoreUnavailable(outcome=Outcome.NONE) from error
            if self._writes.age_ms(event, began) <= ACCOUNT_BEGIN_MS:
                return event, began
        raise StoreUnavailable

    async def _announce_again(self, call: Call, user_id: int) -> tuple[Event, float]:
        """The row has changed, but the first event's applier may have read it before."""
        try:
            return await self._announce(call, user_id)
        except Unavailable as error:
            raise StoreUnavailable(outcome=Outcome.UNKNOWN) from error

    async def _announce(self, call: Call, user_id: int) -> tuple[Event, float]:
        draft = Event(0, EventKind.ACCOUNT, user_id, user_id, 0)
        event, began = await self._writes.timed_attempt(call, draft, lambda event: self._store.append(_dated(event)))
        return _dated(event), began


def _dated(event: Event) -> Event:
    """Its version is its own time: it speaks of no row that has one."""
    return replace(event, version=ids.write_timestamp_us(event.id))
