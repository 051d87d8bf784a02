"""UserService: requests to use cases, values to replies."""

from __future__ import annotations

from collections.abc import Sequence

from rookery.v1 import common_pb2
from rookery.v1 import users_pb2 as pb
from rookery_server.domain.clock import Clock
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Tokens
from rookery_server.services.account_changes import AccountChanged
from rookery_server.services.calls import Call
from rookery_server.services.tokens import user_token
from rookery_server.services.users import ShownUser, Users


class UserServicer:
    def __init__(self, users: Users, tokens: Tokens, clock: Clock):
        self._users, self._tokens, self._clock = users, tokens, clock

    async def CreateUser(self, request: pb.CreateUserRequest, call: Call) -> pb.CreateUserResponse:
        profile = convert.profile(request.profile)
        user = await self._users.create(call, request.username, profile, request.request_id)
        return pb.CreateUserResponse(user=convert.user(user), consistency_token=self._token(user.id))

    async def GetUser(self, request: pb.GetUserRequest, call: Call) -> pb.GetUserResponse:
        self._tokens.consistency(request.consistency_token)
        if request.WhichOneof("key") == "username":
            user = await self._users.get_by_name(call, request.username)
        else:
            user = await self._users.get(call, request.id)
        return pb.GetUserResponse(user=convert.shown_user(user))

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, call: Call) -> pb.BatchGetUsersResponse:
        token = self._tokens.consistency(request.consistency_token)
        found = await self._users.batch_get(call, request.ids, token) if request.ids else {}
        return pb.BatchGetUsersResponse(
            results=[
                pb.UserResult(id=id_, absent=common_pb2.ABSENCE_REASON_NOT_FOUND)
                if user is None
                else pb.UserResult(id=id_, user=convert.shown_user(user))
                for id_, user in found.items()
            ]
        )

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, call: Call) -> pb.UpdateProfileResponse:
        profile, mask = convert.profile(request.profile), tuple(request.update_mask.paths)
        user = await self._users.update_profile(call, profile, mask, request.etag)
        shown = convert.shown_user(ShownUser(user, private=True))
        return pb.UpdateProfileResponse(user=shown, consistency_token=self._token(user.id))

    async def SetProtected(self, request: pb.SetProtectedRequest, call: Call) -> pb.SetProtectedResponse:
        changed = await self._users.set_protected(call, request.protected)
        user, token = own_account(changed), self._token(changed.user.id)
        return pb.SetProtectedResponse(user=user, settled=changed.settled, consistency_token=token)

    async def Rename(self, request: pb.RenameRequest, call: Call) -> pb.RenameResponse:
        changed = await self._users.rename(call, request.username)
        user, token = own_account(changed), self._token(changed.user.id)
        return pb.RenameResponse(user=user, settled=changed.settled, consistency_token=token)

    async def Deactivate(self, request: pb.DeactivateRequest, call: Call) -> pb.DeactivateResponse:
        changed = await self._users.deactivate(call)
        user, token = own_account(changed), self._token(changed.user.id)
        return pb.DeactivateResponse(user=user, settled=changed.settled, consistency_token=token)

    async def Reactivate(self, request: pb.ReactivateRequest, call: Call) -> pb.ReactivateResponse:
        changed = await self._users.reactivate(call)
        user, token = own_account(changed), self._token(changed.user.id)
        return pb.ReactivateResponse(user=user, settled=changed.settled, consistency_token=token)

    def _token(self, user_id: int) -> str:
        return self._tokens.of_write(user_token(user_id, self._clock.now_ms()))


def own_account(changed: AccountChanged) -> pb.User:
    """As its owner, or an administrator, sees it after a change."""
    return convert.shown_user(ShownUser(changed.user, private=True))


async def shown_users(users: Users, call: Call, user_ids: Sequence[int]) -> list[pb.User]:
    """The accounts of a page, once each; those that cannot be shown are left out."""
    return [convert.shown_user(user) for user in await users.of_page(call, user_ids)]
