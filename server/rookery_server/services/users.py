"""Accounts: signing up, editing, showing.  One account is read in the store at a quorum; many are read from the cache,
whose copies never outlive a change (docs/protocols/account.md)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import (
    AccountInactive,
    InvalidArgument,
    NotFound,
    RequestIdReused,
    StaleEtag,
    Violation,
)
from rookery_server.domain.limits import BATCH_IDS, KNOWN_USERS_KEPT
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.domain.profiles import parse_profile
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.domain.usernames import Username, parse_username, username_key
from rookery_server.services.account_changes import AccountChanged, AccountChanges
from rookery_server.services.accounts import Accounts, may_see_inactive
from rookery_server.services.batches import checked_batch, checked_id
from rookery_server.services.calls import Call
from rookery_server.services.idempotency import checked_request_id, content_hash
from rookery_server.services.names import Names
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.tokens import named_users
from rookery_server.services.user_counts import Counts, shown_counts
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import NameClaim, RequestClaim, Store, UserStore

PROFILE_FIELDS = ("display_name", "bio", "location", "url")


class KnownUsers:
    """Remembers which accounts exist: none ever ceases to, so only the first look costs a read."""

    def __init__(self, store: UserStore):
        self._store = store
        self._known: OrderedDict[int, None] = OrderedDict()

    async def require(self, *user_ids: int) -> None:
        """Raises NotFound unless all of them exist."""
        unknown = [id_ for id_ in user_ids if id_ not in self._known]
        if not unknown:
            return
        found = await self._store.get_users(unknown)
        for id_ in found:
            self.add(id_)
        if len(found) < len(set(unknown)):
            raise NotFound("no such user")

    def add(self, user_id: int) -> None:
        self._known[user_id] = None
        if len(self._known) > KNOWN_USERS_KEPT:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ShownUser:
    """An account as one caller may see it.  `counts` None: never counted, or not asked for.  `private`: the caller is
    the account itself or an administrator, so the state may be told."""

    user: User
    counts: Counts | None = None
    private: bool = False


class Users:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        new_id: Callable[[], int],
        known: KnownUsers,
        accounts: Accounts,
        changes: AccountChanges,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._clock, self._new_id = store, clock, new_id
        self._known, self._accounts, self._changes, self._quotas = known, accounts, changes, quotas
        self._writes, self._witness = writes, witness
        self._names = Names(store, clock)

    # --- signing up -------------------------------------------------------------------------------------------

    async def create(self, call: Call, username: str, profile: Profile, request_id: str = "") -> User:
        """The name is taken for ever.  With a request id, the same content gives the same account for 24 h, and a
        crashed sign-up is completed.  Raises InvalidArgument, UsernameTaken, RequestIdReused, StoreUnavailable."""
        name, profile = parse_username(username), parse_profile(profile)
        request_id = checked_request_id(request_id) if request_id else ""
        return await self._writes.run(self._create(call, name, profile, request_id))

    async def _create(self, call: Call, name: Username, profile: Profile, request_id: str) -> User:
        content = content_hash("user", name.name, asdict(profile))
        user_id = self._new_id()
        if request_id:
            claim = await self._store.claim_request(call.caller_id, request_id, content, user_id)
            self._witness.request("CreateUser", _fate(claim, content))
            if claim.content_hash != content:
                raise RequestIdReused("this request id was used with other content")
            user_id = claim.result_id
        # Without a request id nobody can recognise the claim again, so its hash is one of its own.
        own = content_hash("claim", call.caller_id, request_id or user_id)
        user_id = await self._names.hold_for_sign_up(name.key, NameClaim(user_id, own, self._clock.now_ms()))
        user = User(user_id, name.name, profile, ids.time_ms(user_id), etag=f"{user_id:x}")
        created = await self._store.create_user(user)
        self._known.add(user_id)
        return created

    # --- showing ----------------------------------------------------------------------------------------------

    async def get(self, call: Call, user_id: int) -> ShownUser:
        """Raises InvalidArgument, NotFound (also for an inactive account that is not the caller's)."""
        return await self._get(call, checked_id(user_id))

    async def get_by_name(self, call: Call, username: str) -> ShownUser:
        """In any case, without @; a name the account does not carry now leads nowhere.  Raises InvalidArgument,
        NotFound."""
        key = username_key(username)
        claim = await self._store.find_name(key)
        if claim is None:
            raise NotFound("no such user")
        shown = await self._get(call, claim.user_id)
        if username_key(shown.user.username) != key:
            raise NotFound("no such user")
        return shown

    async def _get(self, call: Call, user_id: int) -> ShownUser:
        user = (await self._store.get_users([user_id])).get(user_id)
        if user is None or _hidden(call, user):
            raise NotFound("no such user")
        counts = await shown_counts(self._store, [user_id])
        return _shown(call, user, counts.get(user_id))

    async def batch_get(
        self, call: Call, user_ids: Sequence[int], token: ConsistencyToken | None = None
    ) -> dict[int, ShownUser | None]:
        """1 to 100 ids; in the order of the request, duplicates once; None = absent or hidden.
        Raises InvalidArgument, StoreUnavailable."""
        wanted = checked_batch(user_ids)
        users = await self._accounts.users(wanted, named_users(token))
        visible = {id_: user for id_, user in users.items() if not _hidden(call, user)}
        counts = await shown_counts(self._store, tuple(visible)) if visible else {}
        return {
            id_: _shown(call, visible[id_], counts.get(id_)) if id_ in visible else None for id_ in wanted
        }  # fmt: skip

    async def of_page(self, call: Call, user_ids: Sequence[int]) -> tuple[ShownUser, ...]:
        """The accounts beside a page's tweets, in order, once each, without counts (they would cost a read of the store
        for each); those that are hidden or cannot be read are left out."""
        distinct, users = tuple(dict.fromkeys(user_ids)), dict[int, User]()
        for start in range(0, len(distinct), BATCH_IDS):
            users |= await self._accounts.readable_users(distinct[start : start + BATCH_IDS])
        found = (users[id_] for id_ in distinct if id_ in users)
        return tuple(_shown(call, user, None) for user in found if not _hidden(call, user))

    # --- changing oneself -------------------------------------------------------------------------------------

    async def update_profile(self, call: Call, profile: Profile, mask: Sequence[str], etag: str) -> User:
        """Replaces the named fields of the caller's profile if `etag` is current.  `mask`: paths `display_name`,
        `bio`, `location`, `url`; empty = all four.  Raises InvalidArgument, NotFound, StaleEtag (with the current
        etag in its metadata), AccountInactive, RateLimited, StoreUnavailable."""
        if not etag:
            raise InvalidArgument(Violation("etag", "required", "must be the etag of the account as it was read"))
        unknown = [path for path in mask if path not in PROFILE_FIELDS]
        if unknown:
            raise InvalidArgument(Violation("update_mask", "unknown_path", "names a field that cannot be edited"))
        given = asdict(profile)
        edit = {path: given[path] for path in mask or PROFILE_FIELDS}

        def edited(user: User) -> User:
            if _active(user).etag != etag:
                raise StaleEtag("the profile was edited meanwhile", metadata={"etag": user.etag})
            return replace(user, profile=parse_profile(replace(user.profile, **edit)))

        await self._admit(call, Quota.ACCOUNT_CHANGES)
        return (await self._changes.change(call, call.caller_id, edited, copied=False)).user

    async def set_protected(self, call: Call, on: bool) -> AccountChanged:
        """Setting what is set is OK.  Raises NotFound, AccountInactive, RateLimited, Aborted, StoreUnavailable."""
        await self._admit(call, Quota.ACCOUNT_CHANGES)
        return await self._changes.change(
            call, call.caller_id, lambda user: replace(_active(user), protected=on), copied=True
        )

    async def rename(self, call: Call, username: str) -> AccountChanged:
        """Takes another name; former ones stay the account's own.  Saying it again completes what died half way.
        Raises InvalidText, UsernameTaken, NotFound, AccountInactive, RateLimited, Aborted, StoreUnavailable."""
        name = parse_username(username)
        await self._accounts.require_active(call)
        own = (await self._get(call, call.caller_id)).user
        if username_key(own.username) != name.key:
            await self._quotas.charge(call, Quota.RENAMES)
            hash_ = content_hash("rename", own.id, name.key)
            await self._names.hold_for_rename(name.key, NameClaim(own.id, hash_, self._clock.now_ms()))
        return await self._changes.change(
            call, own.id, lambda user: replace(_active(user), username=name.name), copied=False
        )

    async def deactivate(self, call: Call) -> AccountChanged:
        """Hides the caller's account until it comes back; again is OK.  Raises NotFound, AccountInactive (suspended),
        RateLimited, Aborted, StoreUnavailable."""
        await self._quotas.charge(call, Quota.ACCOUNT_CHANGES)
        return await self._become(call, UserState.DEACTIVATED)

    async def reactivate(self, call: Call) -> AccountChanged:
        """Of an active account it is OK.  Raises as `deactivate`."""
        await self._quotas.charge(call, Quota.ACCOUNT_CHANGES)
        return await self._become(call, UserState.ACTIVE)

    async def _become(self, call: Call, state: UserState) -> AccountChanged:
        return await self._changes.change(
            call, call.caller_id, lambda user: replace(_not_suspended(user), state=state), copied=True
        )

    async def _admit(self, call: Call, quota: Quota) -> None:
        await self._accounts.require_active(call)
        await self._quotas.charge(call, quota)


def _hidden(call: Call, user: User) -> bool:
    return user.state is not UserState.ACTIVE and not may_see_inactive(call, user.id)


def _shown(call: Call, user: User, counts: Counts | None) -> ShownUser:
    return ShownUser(user, counts, private=may_see_inactive(call, user.id))


def _active(user: User) -> User:
    """Asked again of the row that is about to change: the state may be newer than what the door saw."""
    if user.state is not UserState.ACTIVE:
        raise AccountInactive("the acting account is not active")
    return user


def _not_suspended(user: User) -> User:
    if user.state in (UserState.SUSPENDED, UserState.DEACTIVATED_AND_SUSPENDED):
        raise AccountInactive("the acting account is suspended")
    return user


def _fate(claim: RequestClaim, content: bytes) -> str:
    if claim.content_hash != content:
        return "conflict"
    return "new" if claim.fresh else "replay"
