from __future__ import annotations

from google.protobuf import message_factory

from rookery_server.rpc.methods import SERVICES, methods
from tests.support.fuzz import answers_well
from tests.unit.rpc.conftest import Served


async def test_odd_requests_are_refused_or_answered_and_never_our_fault(served: Served) -> None:
    for service in SERVICES:
        for method in service.methods:
            served.servicer.answers(method.name, message_factory.GetMessageClass(method.output_type)())
    codes = await answers_well(served.channel, methods(), count=2_000, seed=1)
    assert set(codes) == {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED"}
    assert min(codes.values()) > 20
