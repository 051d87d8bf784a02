from __future__ import annotations

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from rookery.v1 import common_pb2, users_pb2, users_pb2_grpc
from rookery_server.domain.models import Profile, User
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
    fakes.users.get.return_value = fakes.users.get_by_name.return_value = ADA
    await stub.GetUser(users_pb2.GetUserRequest(id=5))
    await stub.GetUser(users_pb2.GetUserRequest(username="ada"))
    assert given(fakes.users.get) == (5,)
    assert given(fakes.users.get_by_name) == ("ada",)


async def test_a_batch_answers_each_id(fakes: Fakes, stub: users_pb2_grpc.UserServiceAsyncStub) -> None:
    fakes.users.batch_get.return_value = {9: None, 5: ADA}
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
