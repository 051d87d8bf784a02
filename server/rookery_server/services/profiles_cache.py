"""Accounts by id: what `p:` holds first, then the truth, which fills it.  Rules A9, A12 and A13 of
docs/protocols/account.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import ProfileRead, Profiles
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.limits import FILL_MAX_AGE_S
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.services.coalesced import Coalesced
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import UserStore

_FORMAT = 1


def encode(user: User) -> bytes:
    """One byte each for format, `protected` and state, then the rest as JSON."""
    of = user.profile
    rest = [user.username, of.display_name, of.bio, of.location, of.url, user.create_time_ms, user.etag]
    return bytes([_FORMAT, user.protected, user.state]) + json.dumps(rest, ensure_ascii=False).encode()


def decode(user_id: int, raw: bytes) -> User | None:
    """None for what this release did not write: it counts as missing."""
    try:
        form, protected, state = raw[:3]
        username, display_name, bio, location, url, created_ms, etag = json.loads(raw[3:])
        if form != _FORMAT:
            return None
        profile = Profile(display_name, bio, location, url)
        return User(user_id, username, profile, created_ms, etag, bool(protected), UserState(state))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class KeptAccount:
    """`user` is None when nothing could be read of it.  `began`: monotonic time before anything was read."""

    user: User | None
    began: float


@dataclass(frozen=True, slots=True)
class FoundAccounts:
    """`of`: by id, those that do not exist are absent.  `unread`: ids of which nothing could be learned."""

    of: Mapping[int, KeptAccount]
    unread: frozenset[int]

    def users(self) -> dict[int, User]:
        return {id_: kept.user for id_, kept in self.of.items() if kept.user}


class CachedProfiles:
    """Reads are shared, at most one in flight an account; a value that is older than a call is never its answer unless
    the cache vouches for it."""

    def __init__(self, store: UserStore, cache: Profiles, clock: Clock, witness: Witness = SILENT):
        self._store, self._cache, self._clock, self._witness = store, cache, clock, witness
        self._reads: Coalesced[KeptAccount] = Coalesced(self._load, lambda: witness.coalesced("user"))

    async def find(self, user_ids: Iterable[int]) -> FoundAccounts:
        """Never raises for an engine's sake."""
        found = await self._reads.get(user_ids)
        unread = frozenset(id_ for id_, kept in found.items() if kept.user is None)
        return FoundAccounts({id_: kept for id_, kept in found.items() if id_ not in unread}, unread)

    async def _load(self, user_ids: tuple[int, ...]) -> dict[int, KeptAccount]:
        began = self._clock.monotonic()
        seen = await self._cached(user_ids)
        found = {id_: user for id_, read in seen.items() if read.value and (user := decode(id_, read.value))}
        self._witness.cache("user", "hit", len(found))
        missing = tuple(id_ for id_ in user_ids if id_ not in found)
        if not missing:
            return {id_: KeptAccount(user, began) for id_, user in found.items()}
        self._witness.cache("user", "absent" if seen else "error", len(missing))
        nothing = dict.fromkeys(missing, KeptAccount(None, began))
        try:
            rows = await self._store.get_users(missing)
        except StoreUnavailable:
            return {**{id_: KeptAccount(user, began) for id_, user in found.items()}, **nothing}
        await self._fill(rows, seen, began)
        return {id_: KeptAccount(user, began) for id_, user in (found | rows).items()}

    async def _cached(self, user_ids: tuple[int, ...]) -> dict[int, ProfileRead]:
        try:
            return await self._cache.read_profiles(user_ids)
        except CacheUnavailable:
            return {}

    async def _fill(self, rows: Mapping[int, User], seen: Mapping[int, ProfileRead], began: float) -> None:
        """Only where the cache could be asked before, and only over what it said (A9)."""
        if self._clock.monotonic() - began > FILL_MAX_AGE_S:
            return
        fills = {id_: (seen[id_], encode(user)) for id_, user in rows.items() if id_ in seen}
        if fills:
            await self._cache.store_profiles(fills)
