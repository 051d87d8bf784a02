"""What administrators do to accounts.  The rules: docs/protocols/account.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rookery_server.domain.models import User, UserState
from rookery_server.services.account_changes import AccountChanged, AccountChanges
from rookery_server.services.batches import checked_id
from rookery_server.services.calls import Call

_SUSPENDED: Mapping[UserState, UserState] = {
    UserState.ACTIVE: UserState.SUSPENDED,
    UserState.DEACTIVATED: UserState.DEACTIVATED_AND_SUSPENDED,
}
_LIFTED = {after: before for before, after in _SUSPENDED.items()}


class Moderation:
    def __init__(self, changes: AccountChanges):
        self._changes = changes

    async def suspend(self, call: Call, user_id: int) -> AccountChanged:
        """Hides an account and stops it from writing; again is OK.  Raises InvalidArgument, NotFound, Aborted,
        IdsRefused, StoreUnavailable."""
        return await self._move(call, user_id, _SUSPENDED)

    async def unsuspend(self, call: Call, user_id: int) -> AccountChanged:
        """An account that had been deactivated before is deactivated again: only its owner comes back.  OK for one that
        is not suspended.  Raises as `suspend`."""
        return await self._move(call, user_id, _LIFTED)

    async def _move(self, call: Call, user_id: int, to: Mapping[UserState, UserState]) -> AccountChanged:
        def moved(user: User) -> User:
            return replace(user, state=to.get(user.state, user.state))

        return await self._changes.change(call, checked_id(user_id, "user_id"), moved, copied=True)
