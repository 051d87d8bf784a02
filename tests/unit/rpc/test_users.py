from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from rookery.v1 import common_pb2, users_pb2, users_pb2_grpc
from rookery_server.domain.models import Profile, User, UserState
from rookery_server.services.account_changes import AccountChanged
from rookery_server.services.user_counts import Counts
from rookery_server.services.users import ShownUser
from tests.unit.rpc.use_cases import AS_5, Fakes, given

ADA = User(5, "Ada", Profile("Ada L.", "b", "l", "https://a.example"), 1_700_000_000_000, "e1")


@pytest.fixture
def stub(fakes: Fakes) -> users_pb2_grpc.UserServiceAsyncStub:
    return fakes.stub(users_pb2_grpc.UserServiceStub)  # type: ignore[no-any-return]


async def test_sign_up(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    fakes.users.create.return_value = ADA
    request = users_pb2.CreateUserRequest(username="Ada", profile=users_pb2.Profile(bio="b"), request_id="r")
    reply = await stub.CreateUser(request)
    call, username, profile, request_id = given(fakes.users.create)
    assert (call.caller_id, username, profile, request_id) == (0, "Ada", Profile(bio="b"), "r")
    assert (reply.user.id, reply.user.username, reply.user.etag) == (5, "Ada", "e1")
    assert fakes.signer.consistency(reply.consistency_token).ids == (5,)


async def test_by_id_or_by_name(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    fakes.users.get.return_value = fakes.users.get_by_name.return_value = ShownUser(ADA)
    await stub.GetUser(users_pb2.GetUserRequest(id=5), metadata=AS_5)
    await stub.GetUser(users_pb2.GetUserRequest(username="ada"))
    call, user_id = given(fakes.users.get)
    assert (call.caller_id, user_id) == (5, 5)
    assert given(fakes.users.get_by_name)[1:] == ("ada",)


async def test_counts_for_all_and_the_state_for_some(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    gone = replace(ADA, state=UserState.DEACTIVATED)
    fakes.users.get.return_value = ShownUser(ADA, Counts(3, 2, None))
    reply = await stub.GetUser(users_pb2.GetUserRequest(id=5))
    assert reply.user.state == users_pb2.USER_STATE_UNSPECIFIED
    assert (reply.user.counts.followers, reply.user.counts.following) == (3, 2)
    fakes.users.get.return_value = ShownUser(gone, private=True)
    reply = await stub.GetUser(users_pb2.GetUserRequest(id=5))
    assert reply.user.state == users_pb2.USER_STATE_DEACTIVATED
    assert not reply.user.HasField("counts")


async def test_changes_of_the_own_account(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    changed = AccountChanged(replace(ADA, protected=True), settled=True)
    for use_case in (fakes.users.set_protected, fakes.users.rename, fakes.users.deactivate, fakes.users.reactivate):
        use_case.return_value = changed
    replies: list[Any] = [
        await stub.SetProtected(users_pb2.SetProtectedRequest(protected=True), metadata=AS_5),
        await stub.Rename(users_pb2.RenameRequest(username="Ada"), metadata=AS_5),
        await stub.Deactivate(users_pb2.DeactivateRequest(), metadata=AS_5),
        await stub.Reactivate(users_pb2.ReactivateRequest(), metadata=AS_5),
    ]
    for reply in replies:
        assert (reply.settled, reply.user.protected, reply.user.state) == (True, True, users_pb2.USER_STATE_ACTIVE)
        assert fakes.signer.consistency(reply.consistency_token).ids == (5,)
    assert given(fakes.users.set_protected)[1:] == (True,)
    assert given(fakes.users.rename)[1:] == ("Ada",)


async def test_a_batch_answers_each_id(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    fakes.users.batch_get.return_value = {9: None, 5: ShownUser(ADA)}
    reply = await stub.BatchGetUsers(users_pb2.BatchGetUsersRequest(ids=[9, 5, 9]))
    absent, found = reply.results
    assert (absent.id, absent.absent) == (9, common_pb2.ABSENCE_REASON_NOT_FOUND)
    assert (found.id, found.user.username) == (5, "Ada")


async def test_an_empty_batch_reads_nothing(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    assert not (await stub.BatchGetUsers(users_pb2.BatchGetUsersRequest())).results
    assert not fakes.users.batch_get.await_args_list


async def test_an_edit(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    fakes.users.update_profile.return_value = ADA
    request = users_pb2.UpdateProfileRequest(
        profile=users_pb2.Profile(bio="new"), update_mask=FieldMask(paths=["bio"]), etag="e0"
    )
    reply = await stub.UpdateProfile(request, metadata=AS_5)
    call, profile, mask, etag = given(fakes.users.update_profile)
    assert (call.caller_id, profile, mask, etag) == (5, Profile(bio="new"), ("bio",), "e0")
    assert reply.user.etag == "e1"
    assert reply.consistency_token


async def test_reads_refuse_a_consistency_token_that_is_not_ours(
    fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetUser(users_pb2.GetUserRequest(id=5, consistency_token="made up"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not fakes.users.get.await_args_list
