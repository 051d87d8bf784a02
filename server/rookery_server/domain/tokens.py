"""Tokens a caller gets, keeps and gives back: opaque, signed, good for years.

A token is base64url of

    version (1 byte) | purpose (1) | key id (1) | payload | MAC (16)

and its MAC covers all of that and the scope it was made for: method, subject, filter.  So a token that was altered, or
made for another call, or by another installation, is refused, always with the same words.

The MAC is HMAC-SHA256 cut to 16 bytes: half of it is the least RFC 2104 (section 5) allows, nobody guesses 128 bits
online, and a page token is in every request and reply.
"""

from __future__ import annotations

import base64
import hmac
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from rookery_server.domain import live_cursors
from rookery_server.domain.errors import InvalidToken, Violation
from rookery_server.domain.live_cursors import LiveCursor

SECRET_BYTES = 32
"""A key shorter than the hash's output would be the weakest part (RFC 2104, section 3)."""
MAX_KEY_ID = 255

_VERSION = 1
_MAC_BYTES = 16
_HEADER = struct.Struct(">BBB")
_MAX_CHARS = 512  # three times the longest token but those of streams: a bound on the work, not on the format
_MAX_LIVE_CHARS = 8192  # 512 ids of up to nine bytes, and room
_MAX_IDS = 8  # of a consistency token: a write touches two accounts and a tweet


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Where the last page ended: everything after `last_id` in the list's order.

    `floor_id` bounds a page that follows a newer cursor from below.  `position_hint` helps to find the place again
    and is never trusted.
    """

    last_id: int
    floor_id: int = 0
    position_hint: int = 0


@dataclass(frozen=True, slots=True)
class NewerCursor:
    """The newest id of a first page and what that page claimed: from where to look for what arrived since."""

    newest_id: int
    complete_through_ms: int


@dataclass(frozen=True, slots=True)
class ConsistencyToken:
    """A write a read must see: what `kind` of thing, whose `ids`, and the time of its event."""

    kind: str
    ids: tuple[int, ...]
    event_ms: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is bound to: the method that made it, the user it is about, and whatever else narrows the list."""

    method: str
    subject: int
    filter: str = ""


ANY_READ = Scope("", 0)
"""Of consistency tokens: whoever holds one may give it to any read, also on behalf of somebody else."""

Value = PageCursor | NewerCursor | LiveCursor | ConsistencyToken

_PAGE_PURPOSE, _NEWER_PURPOSE, _CONSISTENCY_PURPOSE, _LIVE_PURPOSE = 1, 2, 3, 4
_PURPOSES: dict[type[Value], int] = {
    PageCursor: _PAGE_PURPOSE,
    NewerCursor: _NEWER_PURPOSE,
    LiveCursor: _LIVE_PURPOSE,
    ConsistencyToken: _CONSISTENCY_PURPOSE,
}
_PAGE = struct.Struct(">qqq")
_NEWER = struct.Struct(">qq")
_CONSISTENCY = struct.Struct(">qBB")


class TokenSigner:
    """Signs with one key and accepts every key it knows, so keys are changed without refusing what is out there."""

    def __init__(self, keys: Mapping[int, bytes], signing: int) -> None:
        """`keys`: secrets by key id.  Raises ValueError for an id or a secret that cannot be used."""
        if signing not in keys:
            raise ValueError(f"token key {signing} signs but is not among the keys")
        for key_id, secret in keys.items():
            if not 0 <= key_id <= MAX_KEY_ID:
                raise ValueError(f"token key id {key_id} is not 0 to {MAX_KEY_ID}")
            if len(secret) < SECRET_BYTES:
                raise ValueError(f"the secret of token key {key_id} has less than {SECRET_BYTES} bytes")
        self._keys = dict(keys)
        self._signing = signing

    @classmethod
    def from_json(cls, text: str) -> TokenSigner:
        """From a key file: `{"signing": 2, "keys": {"1": "<base64url>", "2": "<base64url>"}}`.

        Raises ValueError, which never repeats a part of the file.
        """
        try:
            found = json.loads(text)
            keys = {int(key_id): _secret(spelled) for key_id, spelled in found["keys"].items()}
            signing = int(found["signing"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError('token keys are not {"signing": id, "keys": {id: base64url secret}}') from None
        return cls(keys, signing)

    def __repr__(self) -> str:
        return f"TokenSigner(keys={sorted(self._keys)}, signing={self._signing})"

    def sign(self, value: Value, scope: Scope) -> str:
        signed = _HEADER.pack(_VERSION, _PURPOSES[type(value)], self._signing) + _pack(value)
        return _text(signed + _mac(self._keys[self._signing], signed, scope))

    def page_cursor(self, token: str, scope: Scope, field: str = "page_token") -> PageCursor:
        """Raises InvalidToken."""
        return PageCursor(*_PAGE.unpack(self._payload(_PAGE_PURPOSE, token, scope, field)))

    def newer_cursor(self, token: str, scope: Scope, field: str = "newer_token") -> NewerCursor:
        """Raises InvalidToken."""
        return NewerCursor(*_NEWER.unpack(self._payload(_NEWER_PURPOSE, token, scope, field)))

    def live_cursor(self, token: str, scope: Scope, field: str = "resume_token") -> LiveCursor:
        """Raises InvalidToken."""
        return live_cursors.unpack(self._payload(_LIVE_PURPOSE, token, scope, field))

    def consistency(self, token: str, field: str = "consistency_token") -> ConsistencyToken:
        """Raises InvalidToken."""
        payload = self._payload(_CONSISTENCY_PURPOSE, token, ANY_READ, field)
        event_ms, name_size, ids_size = _CONSISTENCY.unpack_from(payload)
        name_end = _CONSISTENCY.size + name_size
        ids = struct.unpack(f">{ids_size}q", payload[name_end:])
        return ConsistencyToken(payload[_CONSISTENCY.size : name_end].decode("ascii"), ids, event_ms)

    def _payload(self, purpose: int, token: str, scope: Scope, field: str) -> bytes:
        """What was signed.  Its layout needs no doubt: only we could have written it."""
        refused = InvalidToken(Violation(field, "token", "is not a token for this request"))
        raw = _bytes(token, _MAX_LIVE_CHARS if purpose == _LIVE_PURPOSE else _MAX_CHARS)
        if raw is None or len(raw) < _HEADER.size + _MAC_BYTES:
            raise refused
        signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        version, found_purpose, key_id = _HEADER.unpack_from(signed)
        secret = self._keys.get(key_id)
        if version != _VERSION or found_purpose != purpose or secret is None:
            raise refused
        if not hmac.compare_digest(mac, _mac(secret, signed, scope)):
            raise refused
        return signed[_HEADER.size :]


def _mac(secret: bytes, signed: bytes, scope: Scope) -> bytes:
    # Each part with its length, so that no two scopes write the same bytes.
    parts = (scope.method.encode(), str(scope.subject).encode(), scope.filter.encode(), signed)
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.digest(secret, message, "sha256")[:_MAC_BYTES]


def _secret(spelled: str) -> bytes:
    return base64.b64decode(spelled + "=" * (-len(spelled) % 4), altchars=b"-_", validate=True)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _bytes(token: str, most: int) -> bytes | None:
    """None for anything but the one spelling of these bytes: the decoder alone skips foreign characters and ignores
    the last bits."""
    if len(token) > most or not token.isascii():
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    return raw if _text(raw) == token else None


def _pack(value: Value) -> bytes:
    match value:
        case PageCursor(last_id, floor_id, position_hint):
            return _PAGE.pack(last_id, floor_id, position_hint)
        case NewerCursor(newest_id, complete_through_ms):
            return _NEWER.pack(newest_id, complete_through_ms)
        case LiveCursor():
            return live_cursors.pack(value)
        case ConsistencyToken(kind, ids, event_ms):
            name = kind.encode("ascii")
            if len(ids) > _MAX_IDS or len(name) > 32:
                raise ValueError(f"a consistency token has at most {_MAX_IDS} ids and a kind of 32 characters")
            return _CONSISTENCY.pack(event_ms, len(name), len(ids)) + name + struct.pack(f">{len(ids)}q", *ids)
