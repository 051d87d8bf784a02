from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from rookery.v1 import common_pb2
from rookery_server.rpc.methods import SERVICES, BadContract, methods


def contract_with(policy: common_pb2.Policy.ValueType, field: str = "id") -> ServiceDescriptor:
    """A service with one method, of a file of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3")
    file.dependency.append("rookery/v1/common.proto")
    message = file.message_type.add(name="Request")
    message.field.add(name=field, number=1, type=3, label=1)
    method = file.service.add(name="OddService").method.add(
        name="Do", input_type=".odd.Request", output_type=".odd.Request"
    )
    if policy:
        method.options.Extensions[common_pb2.policy] = policy
    pool = descriptor_pool.DescriptorPool()
    for name in ("google/protobuf/descriptor.proto", "rookery/v1/common.proto"):
        known = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(known)
        pool.Add(known)
    pool.Add(file)
    service: ServiceDescriptor = pool.FindServiceByName("odd.OddService")
    return service


def test_every_method_of_the_contract_states_its_policy() -> None:
    assert {m.service for m in methods()} == {service.full_name for service in SERVICES}
    assert all(m.policy != common_pb2.POLICY_UNSPECIFIED for m in methods())


def test_a_method_without_policy_is_refused() -> None:
    with pytest.raises(BadContract, match="states no policy"):
        methods([contract_with(common_pb2.POLICY_UNSPECIFIED)])


def test_a_method_about_oneself_must_name_its_subject() -> None:
    with pytest.raises(BadContract, match="no user_id"):
        methods([contract_with(common_pb2.POLICY_SELF)])


def test_what_changes_something_is_marked() -> None:
    writes = {m.name for m in methods() if m.writes}
    assert writes == {
        *("CreateUser", "UpdateProfile", "SetProtected", "Rename", "Deactivate", "Reactivate"),
        *("CreateTweet", "DeleteTweet"),
        *("Follow", "Unfollow", "Block", "Unblock", "Mute", "Unmute", "ApproveFollow", "DenyFollow"),
        *("RebuildHomeTimeline", "SuspendUser", "UnsuspendUser", "RecountUser"),
        "ReleaseDeadLetters",
    }


def test_only_the_live_home_streams() -> None:
    assert [(m.name, m.label.type) for m in methods() if m.streams] == [("StreamHomeTimeline", "server_stream")]
