from __future__ import annotations

from collections.abc import AsyncGenerator

from google.protobuf import message_factory
from google.protobuf.message import Message

from rookery.v1 import timelines_pb2
from rookery_server.rpc.methods import SERVICES, methods
from rookery_server.services.calls import Call
from tests.support.fuzz import answers_well
from tests.unit.rpc.conftest import Served


async def test_odd_requests_are_refused_or_answered_and_never_our_fault(served: Served) -> None:
    for service in SERVICES:
        for method in service.methods:
            served.servicer.answers(method.name, message_factory.GetMessageClass(method.output_type)())

    async def one(request: Message, call: Call) -> AsyncGenerator[Message, None]:
        yield timelines_pb2.StreamHomeTimelineResponse(resume_token="t")

    served.servicer.streams["StreamHomeTimeline"] = one
    codes = await answers_well(served.channel, methods(), count=2_000, seed=1)
    assert set(codes) == {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED"}
    assert min(codes.values()) > 20
