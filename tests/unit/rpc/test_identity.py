from __future__ import annotations

import json
import time
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from rookery.v1 import common_pb2, timelines_pb2, timelines_pb2_grpc
from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument, PermissionDenied, Unauthenticated
from rookery_server.rpc.identity import (
    ACT_AS,
    ADMIN,
    SERVICE,
    Identity,
    TokenIdentity,
    TrustingIdentity,
    keys_from_jwks,
    permit,
)
from rookery_server.rpc.methods import Method, methods
from tests.unit.rpc.conftest import Served

PRIVATE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def jwks(*, kid: str | None = "k1", alg: str = "ES256") -> str:
    key: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key()))
    return json.dumps({"keys": [key | {"alg": alg} | ({"kid": kid} if kid else {})]})


IDENTIFY = TokenIdentity(keys_from_jwks(jwks()), issuer="https://id.example", audience="rookery")


def token(
    *, key: Any = PRIVATE, alg: str = "ES256", kid: str | None = "k1", **claims: object
) -> dict[str, str | bytes]:
    now = int(time.time())
    content = {"iss": "https://id.example", "aud": "rookery", "exp": now + 60, "sub": "42"} | claims
    body = {name: value for name, value in content.items() if value is not None}
    text = jwt.encode(body, key, algorithm=alg, headers={"kid": kid} if kid else None)
    return {"authorization": f"Bearer {text}"}


def test_a_users_token_acts_as_that_user() -> None:
    assert IDENTIFY(token()) == Identity("42", 42, frozenset())
    assert IDENTIFY(token() | {"rookery-acting-user": "42"}).user_id == 42


def test_a_service_acts_as_whom_it_names_if_it_may() -> None:
    service = token(sub="loader", scope="act_as bulk")
    assert IDENTIFY(service | {"rookery-acting-user": "7"}) == Identity("loader", 7, frozenset({"act_as", "bulk"}))
    assert IDENTIFY(service).user_id == 0


def test_nobody_is_nobody() -> None:
    assert IDENTIFY({}) == Identity()


def test_acting_for_others_needs_the_scope() -> None:
    with pytest.raises(PermissionDenied):
        IDENTIFY(token() | {"rookery-acting-user": "7"})
    with pytest.raises(PermissionDenied):
        IDENTIFY(token(sub="loader", scope="service") | {"rookery-acting-user": "7"})


REFUSED: dict[str, dict[str, str | bytes]] = {
    "expired": token(exp=int(time.time()) - 60),
    "not yet": token(nbf=int(time.time()) + 600),
    "no expiry": token(exp=None),
    "no subject": token(sub=None),
    "wrong audience": token(aud="other"),
    "wrong issuer": token(iss="https://evil.example"),
    "unknown key id": token(kid="k2"),
    "no key id": token(kid=None),
    "signed by another": token(key=OTHER),
    "alg none": token(key=None, alg="none"),
    "another algorithm": token(key="x" * 32, alg="HS256"),
    "not a token": {"authorization": "Bearer abc"},
    "empty": {"authorization": ""},
    "another scheme": {"authorization": "Basic eDp5"},
    "acting user without credentials": {"rookery-acting-user": "7"},
}


@pytest.mark.parametrize("metadata", REFUSED.values(), ids=REFUSED.keys())
def test_refused_credentials(metadata: dict[str, str | bytes]) -> None:
    with pytest.raises(Unauthenticated):
        IDENTIFY(metadata)


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "1.5", " 7", "٧", "9" * 19, "9" * 30, str(ids.MAX_ID + 1)])
def test_an_acting_user_is_a_positive_id(text: str) -> None:
    with pytest.raises(InvalidArgument):
        TrustingIdentity()({"rookery-acting-user": text})


@pytest.mark.parametrize("text", [jwks(kid=None), jwks(alg="ES512"), "{}", "no json", '{"keys": []}'])
def test_key_files_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        keys_from_jwks(text)


NOBODY, READER = Identity(), Identity("42", 42)
SERVANT, OPERATOR = Identity("loader", 0, frozenset({SERVICE})), Identity("ops", 0, frozenset({ADMIN}))
MASK = Identity("gate", 0, frozenset({ACT_AS}))
LETS_IN = {
    common_pb2.POLICY_PUBLIC: (NOBODY, READER, SERVANT, OPERATOR, MASK),
    common_pb2.POLICY_USER: (READER,),
    common_pb2.POLICY_SELF: (READER,),
    common_pb2.POLICY_SERVICE: (SERVANT,),
    common_pb2.POLICY_ADMIN: (OPERATOR,),
}


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.name)
@pytest.mark.parametrize("identity", [NOBODY, READER, SERVANT, OPERATOR, MASK], ids=lambda i: i.caller or "nobody")
def test_each_method_lets_in_whom_its_policy_names(method: Method, identity: Identity) -> None:
    if identity in LETS_IN[method.policy]:
        permit(identity, method)
    else:
        with pytest.raises(Unauthenticated if not identity.caller else (Unauthenticated, PermissionDenied)):
            permit(identity, method)


@pytest.mark.parametrize("method", [m for m in methods() if m.policy != common_pb2.POLICY_PUBLIC], ids=lambda m: m.name)
async def test_no_method_answers_who_may_not_call_it(served: Served, method: Method) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.raw(method.path)(b"", metadata=(("rookery-scopes", "none"),))
    assert caught.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    assert served.servicer.calls == []


@pytest.mark.parametrize("method", [m for m in methods() if m.policy == common_pb2.POLICY_SELF], ids=lambda m: m.name)
async def test_methods_about_oneself_refuse_another_subject(served: Served, method: Method) -> None:
    request = method.request(user_id=43).SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.raw(method.path)(request, metadata=(("rookery-acting-user", "42"),))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert served.servicer.calls == []


async def test_the_acting_user_reaches_the_use_case(served: Served) -> None:
    served.servicer.answers("GetHomeTimeline", timelines_pb2.GetHomeTimelineResponse())
    stub = timelines_pb2_grpc.TimelineServiceStub(served.channel)
    for user_id in (0, 42):
        request = timelines_pb2.GetHomeTimelineRequest(user_id=user_id)
        await stub.GetHomeTimeline(request, metadata=(("rookery-acting-user", "42"),))
    assert [call.caller_id for _, _, call in served.servicer.calls] == [42, 42]
