"""The methods we serve, as the descriptors state them: policy, kind, types.  A method that states no policy is a bug
that stops the server from starting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from rookery.v1 import admin_pb2, common_pb2, graph_pb2, timelines_pb2, tweets_pb2, users_pb2
from rookery_server import metrics

SERVICES: tuple[ServiceDescriptor, ...] = (
    users_pb2.DESCRIPTOR.services_by_name["UserService"],
    tweets_pb2.DESCRIPTOR.services_by_name["TweetService"],
    graph_pb2.DESCRIPTOR.services_by_name["GraphService"],
    timelines_pb2.DESCRIPTOR.services_by_name["TimelineService"],
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
)

SUBJECT = "user_id"
"""The field of a *self* method's request that names whom the call is about."""


class BadContract(Exception):
    """A method lacks what a server must know of it."""


@dataclass(frozen=True, slots=True)
class Method:
    """`writes`: longer default deadline, shielded from its caller once begun.  `streams`: answers many messages."""

    service: str
    name: str
    policy: common_pb2.Policy.ValueType
    writes: bool
    request: type[Message]
    streams: bool = False

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def label(self) -> metrics.Method:
        return metrics.Method(self.service, self.name, "server_stream" if self.streams else "unary")


def method_of(descriptor: MethodDescriptor) -> Method:
    """Raises BadContract."""
    options = descriptor.GetOptions()
    policy = options.Extensions[common_pb2.policy]
    if policy == common_pb2.POLICY_UNSPECIFIED:
        raise BadContract(f"{descriptor.full_name} states no policy")
    if policy == common_pb2.POLICY_SELF and SUBJECT not in descriptor.input_type.fields_by_name:
        raise BadContract(f"{descriptor.full_name} is for oneself, and its request has no {SUBJECT}")
    return Method(
        service=descriptor.containing_service.full_name,
        name=descriptor.name,
        policy=policy,
        writes=options.Extensions[common_pb2.writes],
        request=message_factory.GetMessageClass(descriptor.input_type),
        streams=descriptor.server_streaming,
    )


def methods(services: Iterable[ServiceDescriptor] = SERVICES) -> tuple[Method, ...]:
    """All methods of these services.  Raises BadContract."""
    return tuple(method_of(method) for service in services for method in service.methods)
