"""Calls about accounts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from google.protobuf.field_mask_pb2 import FieldMask

from rookery.calls import Calls
from rookery.transport import CHANGE_S, READ_S, WRITE_S
from rookery.v1 import (
    users_pb2,
    users_pb2_grpc,
)


class UserCalls(Calls):
    async def create_user(
        self,
        username: str,
        *,
        display_name: str = "",
        bio: str = "",
        location: str = "",
        url: str = "",
        request_id: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> users_pb2.CreateUserResponse:
        request = users_pb2.CreateUserRequest(
            username=username,
            profile=users_pb2.Profile(display_name=display_name, bio=bio, location=location, url=url),
            request_id=request_id or str(uuid.uuid4()),
        )
        reply = users_pb2.CreateUserResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "CreateUser", request, reply, timeout_s)

    async def get_user(
        self, user: int | str, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> users_pb2.User:
        """By id, or by name (with or without @)."""
        request = users_pb2.GetUserRequest(consistency_token=consistency_token)
        if isinstance(user, int):
            request.id = user
        else:
            request.username = user.removeprefix("@")
        reply = users_pb2.GetUserResponse
        return (await self._call(users_pb2_grpc.UserServiceStub, "GetUser", request, reply, timeout_s)).user

    async def batch_get_users(
        self, ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, users_pb2.User | None]:
        """At most 100; None for one that does not exist (or is hidden)."""
        request = users_pb2.BatchGetUsersRequest(ids=ids, consistency_token=consistency_token)
        reply = users_pb2.BatchGetUsersResponse
        answer = await self._call(users_pb2_grpc.UserServiceStub, "BatchGetUsers", request, reply, timeout_s)
        return {result.id: result.user if result.HasField("user") else None for result in answer.results}

    async def update_profile(
        self,
        etag: str,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        location: str | None = None,
        url: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> users_pb2.UpdateProfileResponse:
        """Replaces the fields that are given, if `etag` is current."""
        given = {"display_name": display_name, "bio": bio, "location": location, "url": url}
        fields = {name: value for name, value in given.items() if value is not None}
        if not fields:
            raise ValueError("no field was given: an empty mask would replace all of them")
        request = users_pb2.UpdateProfileRequest(
            profile=users_pb2.Profile(**fields), update_mask=FieldMask(paths=list(fields)), etag=etag
        )
        reply = users_pb2.UpdateProfileResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "UpdateProfile", request, reply, timeout_s)

    async def set_protected(self, protected: bool, *, timeout_s: float = CHANGE_S) -> users_pb2.SetProtectedResponse:
        """Of the acting user: whether only followers see its tweets, and whoever wants to follow asks first."""
        request, reply = users_pb2.SetProtectedRequest(protected=protected), users_pb2.SetProtectedResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "SetProtected", request, reply, timeout_s)

    async def rename(self, username: str, *, timeout_s: float = CHANGE_S) -> users_pb2.RenameResponse:
        """Another name for the acting user; the old one stays reserved for it."""
        request, reply = users_pb2.RenameRequest(username=username), users_pb2.RenameResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "Rename", request, reply, timeout_s)

    async def deactivate(self, *, timeout_s: float = CHANGE_S) -> users_pb2.DeactivateResponse:
        """Hides the acting user's account until it comes back."""
        request, reply = users_pb2.DeactivateRequest(), users_pb2.DeactivateResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "Deactivate", request, reply, timeout_s)

    async def reactivate(self, *, timeout_s: float = CHANGE_S) -> users_pb2.ReactivateResponse:
        request, reply = users_pb2.ReactivateRequest(), users_pb2.ReactivateResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "Reactivate", request, reply, timeout_s)
