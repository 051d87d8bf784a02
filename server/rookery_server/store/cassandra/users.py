"""`users` and `usernames`: compare-and-set tables, so no timestamps here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rookery_server.domain.errors import NotFound, Outcome, StoreUnavailable
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.store.cassandra.lwt import insert_once, read_row, settle
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import compare_and_set, read, read_serial
from rookery_server.store.interface import NameClaim

NAME_CLAIM = compare_and_set(
    "name_claim",
    "INSERT INTO usernames (username_key, user_id, request_hash, claimed_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS",
)
NAME_TAKE_OVER = compare_and_set(
    "name_take_over",
    "UPDATE usernames SET user_id = ?, request_hash = ?, claimed_ms = ? WHERE username_key = ?"
    " IF user_id = ? AND request_hash = ? AND claimed_ms = ?",
)
NAME_FIND = read("name_find", "SELECT user_id, request_hash, claimed_ms FROM usernames WHERE username_key = ?")
NAME_AT_SERIAL = read_serial(
    "name_at_serial", "SELECT user_id, request_hash, claimed_ms FROM usernames WHERE username_key = ?"
)
USER_CREATE = compare_and_set(
    "user_create",
    "INSERT INTO users (user_id, username, display_name, bio, location, url, created_ms, etag, protected, state)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
)
USER_GET = read(
    "user_get",
    "SELECT user_id, username, display_name, bio, location, url, created_ms, etag, protected, state"
    " FROM users WHERE user_id = ?",
)
USER_AT_SERIAL = read_serial(
    "user_at_serial",
    "SELECT user_id, username, display_name, bio, location, url, created_ms, etag, protected, state"
    " FROM users WHERE user_id = ?",
)
USER_REPLACE = compare_and_set(
    "user_replace",
    "UPDATE users SET username = ?, display_name = ?, bio = ?, location = ?, url = ?, protected = ?, state = ?,"
    " etag = ? WHERE user_id = ? IF etag = ?",
)
STATEMENTS = (
    NAME_CLAIM, NAME_TAKE_OVER, NAME_FIND, NAME_AT_SERIAL, USER_CREATE, USER_GET, USER_AT_SERIAL, USER_REPLACE,
)  # fmt: skip


_COLUMNS = (
    "user_id", "username", "display_name", "bio", "location", "url", "created_ms", "etag", "protected", "state",
)  # fmt: skip


class UserTables:
    _session: CassandraSession

    async def claim_name(self, name_key: str, claim: NameClaim) -> NameClaim:
        values = (name_key, claim.user_id, claim.request_hash, claim.claimed_ms)
        _, standing = await insert_once(self._session, NAME_CLAIM, values, NAME_AT_SERIAL, (name_key,))
        return claim if standing is None else _claim(standing)

    async def take_over_name(self, name_key: str, expected: NameClaim, claim: NameClaim) -> NameClaim:
        new, old = (_values(claim), _values(expected))
        try:
            answer = await self._session.compare_and_set(NAME_TAKE_OVER, (*new, name_key, *old))
            if answer["[applied]"]:
                return claim
            standing = await read_row(self._session, NAME_AT_SERIAL, (name_key,))
        except StoreUnavailable as lost:
            if lost.outcome is Outcome.NONE:
                raise
            standing = await settle(self._session, lost, NAME_AT_SERIAL, (name_key,))
        # Names are never deleted; of one that nobody ever claimed, what was expected is all there is to say.
        return expected if standing is None else _claim(standing)

    async def find_name(self, name_key: str) -> NameClaim | None:
        rows = await self._session.execute(NAME_FIND, (name_key,))
        return NameClaim(*rows[0]) if rows else None

    async def create_user(self, user: User) -> User:
        profile = user.profile
        values = (
            user.id, user.username, profile.display_name, profile.bio, profile.location, profile.url,
            user.create_time_ms, user.etag, user.protected, int(user.state),
        )  # fmt: skip
        _, standing = await insert_once(self._session, USER_CREATE, values, USER_AT_SERIAL, (user.id,))
        return user if standing is None else _user(standing)

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, User]:
        unique = list(dict.fromkeys(user_ids))
        answers = await self._session.execute_many(USER_GET, [(id_,) for id_ in unique])
        return {id_: _user_of_row(*rows[0]) for id_, rows in zip(unique, answers, strict=True) if rows}

    async def replace_user(self, user: User, expected_etag: str) -> User:
        profile = user.profile
        values = (
            user.username, profile.display_name, profile.bio, profile.location, profile.url,
            user.protected, int(user.state), user.etag, user.id, expected_etag,
        )  # fmt: skip
        try:
            answer = await self._session.compare_and_set(USER_REPLACE, values)
        except StoreUnavailable as lost:
            if lost.outcome is Outcome.NONE:
                raise
            standing = await settle(self._session, lost, USER_AT_SERIAL, (user.id,))
        else:
            # No look at the row after a yes: whatever came of that look, the change was made.
            if answer["[applied]"]:
                return user
            standing = await read_row(self._session, USER_AT_SERIAL, (user.id,))
        if standing is None:
            raise NotFound("no such user")
        return _user(standing)

    async def settled_user(self, user_id: int) -> User | None:
        row = await read_row(self._session, USER_AT_SERIAL, (user_id,))
        return None if row is None else _user(row)


def _values(claim: NameClaim) -> tuple[int, bytes, int]:
    return claim.user_id, claim.request_hash, claim.claimed_ms


def _claim(row: Mapping[str, Any]) -> NameClaim:
    return NameClaim(row["user_id"], row["request_hash"], row["claimed_ms"])


def _user(row: Mapping[str, Any]) -> User:
    return _user_of_row(*(row[column] for column in _COLUMNS))


def _user_of_row(
    user_id: int, username: str, display_name: str, bio: str, location: str, url: str,
    created_ms: int, etag: str, protected: bool, state: int,
) -> User:  # fmt: skip
    profile = Profile(display_name, bio, location, url)
    return User(user_id, username, profile, created_ms, etag, protected, UserState(state))
