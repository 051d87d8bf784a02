"""Names: claimed once and for ever (rule A17 of docs/protocols/account.md)."""

from __future__ import annotations

from dataclasses import replace

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import UsernameTaken
from rookery_server.domain.limits import NAME_CLAIM_LIFE_S
from rookery_server.store.interface import NameClaim, UserStore


class Names:
    def __init__(self, store: UserStore, clock: Clock):
        self._store, self._clock = store, clock

    async def hold_for_sign_up(self, key: str, claim: NameClaim) -> int:
        """The id of the account that is to have the name: that of an earlier attempt with the same request hash, or
        the claim's.  Raises UsernameTaken."""
        standing = await self._store.claim_name(key, claim)
        if standing == claim:
            return claim.user_id
        own = standing.request_hash == claim.request_hash
        if await self._has_account(standing):
            if own:
                return standing.user_id
            raise UsernameTaken("this name is taken")
        # One's own claim, from a crashed attempt, is dated anew, so that nobody who finds it old takes it over
        # meanwhile.
        return await self._take_over(key, standing, replace(claim, user_id=standing.user_id) if own else claim, own)

    async def hold_for_rename(self, key: str, claim: NameClaim) -> None:
        """The claim's account exists; whatever it claimed before is its own.  Raises UsernameTaken."""
        standing = await self._store.claim_name(key, claim)
        if standing.user_id == claim.user_id:
            return
        if await self._has_account(standing):
            raise UsernameTaken("this name is taken")
        await self._take_over(key, standing, claim, own=False)

    async def _has_account(self, claim: NameClaim) -> bool:
        return claim.user_id in await self._store.get_users([claim.user_id])

    async def _take_over(self, key: str, standing: NameClaim, claim: NameClaim, own: bool) -> int:
        """A claim without an account.  Another's is left alone for an hour: its sign-up may be under way."""
        if not own and self._clock.now_ms() - standing.claimed_ms < NAME_CLAIM_LIFE_S * 1000:
            raise UsernameTaken("this name is taken")
        if await self._store.take_over_name(key, standing, claim) != claim:
            raise UsernameTaken("this name is taken")
        return claim.user_id
