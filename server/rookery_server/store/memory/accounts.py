"""Users, names and request ids: compare-and-set tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rookery_server.domain.errors import NotFound
from rookery_server.domain.limits import REQUEST_ID_LIFE_S
from rookery_server.domain.models import User
from rookery_server.store.interface import NameClaim, RequestClaim
from rookery_server.store.memory.role import Role


class AccountsRole(Role):
    async def claim_name(self, name_key: str, claim: NameClaim) -> NameClaim:
        return await self._compare_and_set("claim_name", lambda: self._world.names.setdefault(name_key, claim))

    async def take_over_name(self, name_key: str, expected: NameClaim, claim: NameClaim) -> NameClaim:
        def take_over() -> NameClaim:
            if self._world.names.get(name_key) == expected:
                self._world.names[name_key] = claim
            # A name that nobody ever claimed cannot be taken over; the claim that was expected is what is known of it.
            return self._world.names.get(name_key, expected)

        return await self._compare_and_set("take_over_name", take_over)

    async def find_name(self, name_key: str) -> NameClaim | None:
        return await self._compare_and_set("find_name", lambda: self._world.names.get(name_key))

    async def create_user(self, user: User) -> User:
        return await self._compare_and_set("create_user", lambda: self._world.users.setdefault(user.id, user))

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, User]:
        users = self._world.users
        return await self._compare_and_set("get_users", lambda: {id_: users[id_] for id_ in user_ids if id_ in users})

    async def replace_user(self, user: User, expected_etag: str) -> User:
        def change() -> User | None:
            stored = self._world.users.get(user.id)
            if stored is not None and stored.etag == expected_etag:
                stored = self._world.users[user.id] = replace(user, create_time_ms=stored.create_time_ms)
            return stored

        stands = await self._compare_and_set("replace_user", change)
        if stands is None:
            raise NotFound("no such user")
        return stands

    async def settled_user(self, user_id: int) -> User | None:
        return await self._compare_and_set("settled_user", lambda: self._world.users.get(user_id))

    async def claim_request(self, caller: int, request_id: str, content_hash: bytes, result_id: int) -> RequestClaim:
        def claim() -> RequestClaim:
            now, key = self._now_ms(), (caller, request_id)
            saved = self._world.requests.get(key)
            if saved is not None and saved.expires_ms > now:
                return RequestClaim(False, saved.content_hash, saved.result_id)
            self._world.save_request(key, content_hash, result_id, now + REQUEST_ID_LIFE_S * 1000)
            return RequestClaim(True, content_hash, result_id)

        return await self._compare_and_set("claim_request", claim)
