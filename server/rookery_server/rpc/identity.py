"""Who calls, and whether they may.

A call acts as a user when its token is a user's own (`sub` is the user's id), or when a service with scope `act_as`
names the user in `rookery-acting-user`.  Scopes are the space-separated words of the token's `scope` claim (RFC 8693):
`service`, `act_as`, `admin`, `bulk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import jwt
from google.protobuf.message import Message

from rookery.v1 import common_pb2
from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument, PermissionDenied, Unauthenticated, Violation
from rookery_server.rpc.methods import SUBJECT, Method

ACTING_USER, AUTHORIZATION, SCOPES = "rookery-acting-user", "authorization", "rookery-scopes"
SERVICE, ACT_AS, ADMIN, BULK = "service", "act_as", "admin", "bulk"
ALGORITHMS = ("EdDSA", "ES256", "RS256", "HS256")
"""Fixed: what a token says of itself decides nothing.  A key serves its own algorithm only."""
LEEWAY_S = 30
"""What two well kept clocks and a slow network may differ."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`caller` names the credential in logs (empty: nobody).  `user_id`: whom it acts as, 0 for nobody."""

    caller: str = ""
    user_id: int = 0
    scopes: frozenset[str] = frozenset()


class Identify(Protocol):
    trusting: bool
    """It believes what it is told: to be reached from this machine only."""

    def __call__(self, metadata: Mapping[str, str | bytes]) -> Identity:
        """Raises Unauthenticated, PermissionDenied, InvalidArgument."""
        ...


def _acting_user(metadata: Mapping[str, str | bytes]) -> int:
    """0 when not named."""
    text = metadata.get(ACTING_USER)
    if text is None:
        return 0
    # isascii: int() and isdigit() also take the digits of other scripts
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 19 and 0 < int(text) <= ids.MAX_ID:
        return int(text)
    raise InvalidArgument(Violation(ACTING_USER, "user_id", "must be a positive decimal user id"))


class TrustingIdentity:
    """Development: believes `rookery-acting-user`, and takes everybody for a service and an administrator.

    `rookery-scopes` replaces the scopes, so that refusals can be tried out.
    """

    trusting = True

    def __call__(self, metadata: Mapping[str, str | bytes]) -> Identity:
        scopes = metadata.get(SCOPES)
        words = scopes.split() if isinstance(scopes, str) else (SERVICE, ACT_AS, ADMIN, BULK)
        return Identity("development", _acting_user(metadata), frozenset(words))


def keys_from_jwks(text: str) -> dict[str, jwt.PyJWK]:
    """Verification keys by key id from a JWK set (RFC 7517).  Raises ValueError, also for a key without id or with an
    algorithm that is not ours."""
    try:
        found = jwt.PyJWKSet.from_json(text).keys
    except (jwt.PyJWTError, ValueError) as error:
        raise ValueError(f"not a JWK set: {error}") from error
    for key in found:
        if not key.key_id or key.algorithm_name not in ALGORITHMS:
            raise ValueError(f"key {key.key_id!r} with algorithm {key.algorithm_name} cannot be used")
    return {str(key.key_id): key for key in found}


class TokenIdentity:
    """Bearer tokens: JWT (RFC 7519) with `iss`, `aud`, `exp` and `sub`, signed by a key we know by its id."""

    trusting = False

    def __init__(self, keys: Mapping[str, jwt.PyJWK], *, issuer: str, audience: str):
        self._keys, self._issuer, self._audience = dict(keys), issuer, audience

    def __call__(self, metadata: Mapping[str, str | bytes]) -> Identity:
        header = metadata.get(AUTHORIZATION)
        named = _acting_user(metadata)
        if header is None:
            if named:
                raise Unauthenticated("an acting user needs a credential")
            return Identity()
        claims = self._verified(header)
        subject, scope = claims["sub"], claims.get("scope", "")
        scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset[str]()
        own = _own_id(subject)
        if named and named != own and ACT_AS not in scopes:
            raise PermissionDenied("this credential acts for itself only")
        return Identity(subject, named or own, scopes)

    def _verified(self, header: str | bytes) -> dict[str, str]:
        scheme, _, token = header.partition(" ") if isinstance(header, str) else ("", "", "")
        if scheme.lower() != "bearer":
            raise Unauthenticated("a bearer token is needed")
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            return jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        # which of the many reasons it was is for the issuer to find out: callers learn nothing about our keys
        except (jwt.PyJWTError, KeyError, TypeError) as error:
            raise Unauthenticated("this token is not accepted") from error


def _own_id(subject: str) -> int:
    """A user's token has the user's id as `sub`; a service's has a name."""
    whole = subject.isascii() and subject.isdigit() and len(subject) <= 19
    return int(subject) if whole and int(subject) <= ids.MAX_ID else 0


_NEEDED_SCOPE = {common_pb2.POLICY_SERVICE: SERVICE, common_pb2.POLICY_ADMIN: ADMIN}


def permit(identity: Identity, method: Method) -> None:
    """Whether the method's policy lets this identity in.  Raises Unauthenticated, PermissionDenied."""
    if method.policy == common_pb2.POLICY_PUBLIC:
        return
    if not identity.caller:
        raise Unauthenticated("this method needs credentials")
    if method.policy in (common_pb2.POLICY_USER, common_pb2.POLICY_SELF):
        if not identity.user_id:
            raise Unauthenticated("this method needs an acting user")
    elif _NEEDED_SCOPE.get(method.policy) not in identity.scopes:
        raise PermissionDenied("this credential may not call this method")


def permit_subject(identity: Identity, method: Method, request: Message) -> None:
    """A *self* method is about the acting user.  Raises PermissionDenied."""
    if method.policy == common_pb2.POLICY_SELF and getattr(request, SUBJECT) not in (0, identity.user_id):
        raise PermissionDenied("this method is about oneself")
