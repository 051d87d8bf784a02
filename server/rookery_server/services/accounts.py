"""What every path must know of an account: whether it takes part, and who may see its tweets.  Rules A10 to A16 of
docs/protocols/account.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Profiles
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import AccountInactive, NotFound, StoreUnavailable
from rookery_server.domain.limits import STANDINGS_KEPT
from rookery_server.domain.models import User, UserState
from rookery_server.services.calls import Call
from rookery_server.services.own_copies import OwnCopies
from rookery_server.services.profiles_cache import CachedProfiles, KeptAccount
from rookery_server.services.witness import SILENT, Witness
from rookery_server.store.interface import UserStore


@dataclass(frozen=True, slots=True)
class Standing:
    """`protected`: only followers see its tweets."""

    protected: bool = False
    state: UserState = UserState.ACTIVE

    @property
    def inactive(self) -> bool:
        """Suspended or deactivated: hidden from everybody else, and not allowed to write."""
        return self.state is not UserState.ACTIVE


@dataclass(frozen=True, slots=True)
class Standings:
    """`of`: by id; accounts that do not exist are absent.  `unread`: of these nothing could be learned, since neither
    cache nor store answered."""

    of: Mapping[int, Standing]
    unread: frozenset[int] = frozenset()


class Accounts:
    """One for each server process, shared by all use cases."""

    def __init__(self, store: UserStore, cache: Profiles, clock: Clock, witness: Witness = SILENT):
        self._store, self._profiles = store, CachedProfiles(store, cache, clock, witness)
        self._copies: OwnCopies[Standing] = OwnCopies(clock, STANDINGS_KEPT)

    async def standing(self, user_ids: Iterable[int]) -> dict[int, Standing]:
        """By id; accounts that do not exist are absent.  Never older than a settled change (A14).  Costs nothing for
        accounts asked for within the last second, else one trip for each cache node.  Raises StoreUnavailable when one
        of them is in neither."""
        standings = await self.look(user_ids)
        if standings.unread:
            raise StoreUnavailable
        return dict(standings.of)

    async def look(self, user_ids: Iterable[int], bypass: Collection[int] = ()) -> Standings:
        """As `standing`, for those who can do with a part: never raises for an engine's sake.  `bypass`: read in the
        store (a consistency token names them)."""
        wanted = frozenset(user_ids)
        named = wanted.intersection(bypass)
        known = self._copies.of(wanted - named)
        missing = wanted - named - known.keys()
        if not missing and not named:
            return Standings(known)
        found = await self._profiles.find(missing)
        read = {id_: self._keep(id_, kept, kept.user) for id_, kept in found.of.items() if kept.user}
        try:
            rows = await self._store.get_users(tuple(named)) if named else {}
        except StoreUnavailable:
            return Standings(known | read, found.unread | named)
        read |= {id_: Standing(user.protected, user.state) for id_, user in rows.items()}
        return Standings(known | read, found.unread)

    async def users(self, user_ids: Iterable[int], bypass: Collection[int] = ()) -> dict[int, User]:
        """Whole accounts, hidden ones included; those that do not exist are absent.  From `p:` or the store, never from
        own copies.  `bypass`: read in the store (a consistency token names them).  Raises StoreUnavailable."""
        wanted = frozenset(user_ids)
        named = wanted & frozenset(bypass)
        found = await self._profiles.find(wanted - named)
        if found.unread:
            raise StoreUnavailable
        return found.users() | (await self._store.get_users(tuple(named)) if named else {})

    async def readable_users(self, user_ids: Iterable[int]) -> dict[int, User]:
        """As `users`, without those that neither cache nor store could answer for."""
        return (await self._profiles.find(frozenset(user_ids))).users()

    async def require_active(self, call: Call) -> None:
        """The door of every write (A16).  Raises NotFound (the caller has no account), AccountInactive,
        StoreUnavailable."""
        own = (await self.standing([call.caller_id])).get(call.caller_id)
        if own is None:
            raise NotFound("no such user")
        if own.inactive:
            raise AccountInactive("the acting account is not active")

    async def require_visible(self, call: Call, *user_ids: int) -> dict[int, Standing]:
        """Their standing.  Raises NotFound unless all of them exist and are active, or the caller itself (A15);
        StoreUnavailable."""
        standing = await self.standing(user_ids)
        for id_ in user_ids:
            if id_ not in standing or (standing[id_].inactive and not may_see_inactive(call, id_)):
                raise NotFound("no such user")
        return standing

    def _keep(self, user_id: int, kept: KeptAccount, user: User) -> Standing:
        standing = Standing(user.protected, user.state)
        self._copies.keep(user_id, standing, kept.began)
        return standing


def may_see_inactive(call: Call, user_id: int) -> bool:
    """Inactive accounts show to themselves and to administrators (A15)."""
    return call.admin or call.caller_id == user_id
