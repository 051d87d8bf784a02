"""Accounts.  Always the truth at a quorum: reads need no consistency token."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from rookery_server.domain import ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import InvalidArgument, NotFound, RequestIdReused, StaleEtag, UsernameTaken, Violation
from rookery_server.domain.limits import KNOWN_USERS_KEPT, NAME_CLAIM_LIFE_S
from rookery_server.domain.models import Profile, User
from rookery_server.domain.profiles import parse_profile
from rookery_server.domain.usernames import Username, parse_username, username_key
from rookery_server.services.batches import checked_batch, checked_id
from rookery_server.services.calls import Call
from rookery_server.services.idempotency import checked_request_id, content_hash
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


class Users:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        new_id: Callable[[], int],
        known: KnownUsers,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._clock, self._new_id = store, clock, new_id
        self._known, self._writes, self._witness = known, writes, witness

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
        user_id = await self._hold_name(name.key, NameClaim(user_id, own, self._clock.now_ms()))
        user = User(user_id, name.name, profile, ids.time_ms(user_id), etag=f"{user_id:x}")
        created = await self._store.create_user(user)
        self._known.add(user_id)
        return created

    async def _hold_name(self, key: str, claim: NameClaim) -> int:
        """The id of the account that is to have the name.  Raises UsernameTaken."""
        standing = await self._store.claim_name(key, claim)
        if standing == claim:
            return claim.user_id
        if (await self._store.get_users([standing.user_id])).get(standing.user_id) is not None:
            if standing.request_hash == claim.request_hash:
                return standing.user_id
            raise UsernameTaken("this name is taken")
        # A claim without an account.  One's own, from a crashed attempt, is dated anew, so that nobody who finds it
        # old takes it over meanwhile.  Another's is left alone for an hour: its sign-up may be under way.
        own = standing.request_hash == claim.request_hash
        if own:
            claim = replace(claim, user_id=standing.user_id)
        elif self._clock.now_ms() - standing.claimed_ms < NAME_CLAIM_LIFE_S * 1000:
            raise UsernameTaken("this name is taken")
        if await self._store.take_over_name(key, standing, claim) != claim:
            raise UsernameTaken("this name is taken")
        return claim.user_id

    async def get(self, user_id: int) -> User:
        """Raises InvalidArgument, NotFound."""
        user = (await self._store.get_users([checked_id(user_id)])).get(user_id)
        if user is None:
            raise NotFound("no such user")
        return user

    async def get_by_name(self, username: str) -> User:
        """In any case, without @.  Raises InvalidArgument, NotFound."""
        claim = await self._store.find_name(username_key(username))
        if claim is None:
            raise NotFound("no such user")
        return await self.get(claim.user_id)

    async def batch_get(self, user_ids: Sequence[int]) -> dict[int, User | None]:
        """1 to 100 ids; in the order of the request, duplicates once; None = absent.  Raises InvalidArgument."""
        wanted = checked_batch(user_ids)
        found = await self._store.get_users(wanted)
        return {id_: found.get(id_) for id_ in wanted}

    async def update_profile(self, call: Call, profile: Profile, mask: Sequence[str], etag: str) -> User:
        """Replaces the named fields of the caller's profile if `etag` is current.  `mask`: paths `display_name`,
        `bio`, `location`, `url`; empty = all four.  Raises InvalidArgument, NotFound, StaleEtag (with the current
        etag in its metadata), StoreUnavailable."""
        if not etag:
            raise InvalidArgument(Violation("etag", "required", "must be the etag of the account as it was read"))
        unknown = [path for path in mask if path not in PROFILE_FIELDS]
        if unknown:
            raise InvalidArgument(Violation("update_mask", "unknown_path", "names a field that cannot be edited"))
        standing = await self.get(call.caller_id)
        if standing.etag != etag:
            raise _stale(standing)
        given = asdict(profile)
        edited = replace(standing.profile, **{path: given[path] for path in mask or PROFILE_FIELDS})
        return await self._writes.run(self._update(standing, parse_profile(edited)))

    async def _update(self, standing: User, profile: Profile) -> User:
        etag = f"{self._new_id():x}"
        updated = await self._store.update_profile(standing.id, profile, standing.etag, etag)
        if updated.etag != etag:
            raise _stale(updated)
        return updated


def _stale(current: User) -> StaleEtag:
    return StaleEtag("the profile was edited meanwhile", metadata={"etag": current.etag})


def _fate(claim: RequestClaim, content: bytes) -> str:
    if claim.content_hash != content:
        return "conflict"
    return "new" if claim.fresh else "replay"
