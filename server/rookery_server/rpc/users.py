"""UserService: requests to use cases, values to replies."""

from __future__ import annotations

from collections.abc import Sequence

from rookery.v1 import common_pb2
from rookery.v1 import users_pb2 as pb
from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import BATCH_IDS
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Tokens
from rookery_server.services.calls import Call
from rookery_server.services.tokens import user_token
from rookery_server.services.users import Users


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
            user = await self._users.get_by_name(request.username)
        else:
            user = await self._users.get(request.id)
        return pb.GetUserResponse(user=convert.user(user))

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, call: Call) -> pb.BatchGetUsersResponse:
        self._tokens.consistency(request.consistency_token)
        found = await self._users.batch_get(request.ids) if request.ids else {}
        return pb.BatchGetUsersResponse(
            results=[
                pb.UserResult(id=id_, absent=common_pb2.ABSENCE_REASON_NOT_FOUND)
                if user is None
                else pb.UserResult(id=id_, user=convert.user(user))
                for id_, user in found.items()
            ]
        )

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, call: Call) -> pb.UpdateProfileResponse:
        profile, mask = convert.profile(request.profile), tuple(request.update_mask.paths)
        user = await self._users.update_profile(call, profile, mask, request.etag)
        return pb.UpdateProfileResponse(user=convert.user(user), consistency_token=self._token(user.id))

    def _token(self, user_id: int) -> str:
        return self._tokens.of_write(user_token(user_id, self._clock.now_ms()))


async def shown_users(users: Users, user_ids: Sequence[int]) -> list[pb.User]:
    """The accounts of a page, once each; those that cannot be shown are left out."""
    shown: list[pb.User] = []
    distinct = list(dict.fromkeys(user_ids))
    for start in range(0, len(distinct), BATCH_IDS):
        found = await users.batch_get(distinct[start : start + BATCH_IDS])
        shown += [convert.user(user) for user in found.values() if user is not None]
    return shown
