"""The bytes under `rel:`, and who may replace them.

Layout, big-endian: format 1, kind (0 stub, 1 relations), version (8 bytes), number of stubbed versions (1 byte), these
(8 bytes each, newest last, at most 8); relations go on with four sets (unfollowed, blocked, muted, pull), each its
length (4 bytes) and its members ascending.  scripts/stub.lua writes stubs of the same layout.
"""

from __future__ import annotations

import struct

from rookery_server.cache import keys
from rookery_server.cache.interface import RelationsRead
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.role import Role
from rookery_server.domain import limits
from rookery_server.domain.models import Relations

_FORMAT, _STUB, _FULL = 1, 0, 1
_HEAD = struct.Struct(">BBQB")
_SET_SIZE = struct.Struct(">I")
ABSENT = RelationsRead(seen=None, version=0, relations=None)


def version_bytes(version: int) -> bytes:
    return version.to_bytes(8, "big")


def read_value(raw: bytes | None) -> RelationsRead:
    """What a stored value says.  Bytes of a format this release does not know count as a stub of version 0: they are
    replaced, never believed."""
    if raw is None:
        return ABSENT
    try:
        format_, kind, version, stubbed = _HEAD.unpack_from(raw)
        if format_ != _FORMAT:
            return RelationsRead(raw, 0, None)
        if kind == _STUB:
            return RelationsRead(raw, version, None)
        at, sets = _HEAD.size + 8 * stubbed, []
        for _ in range(4):
            (size,) = _SET_SIZE.unpack_from(raw, at)
            sets.append(frozenset(struct.unpack_from(f">{size}q", raw, at + _SET_SIZE.size)))
            at += _SET_SIZE.size + 8 * size
    except struct.error:
        return RelationsRead(raw, 0, None)
    return RelationsRead(raw, version, Relations(version, *sets))


def write_value(relations: Relations, seen: bytes | None) -> bytes:
    """The value to store over `seen`, whose stubbed versions it carries on."""
    ring = _stubbed(seen)
    parts = [_HEAD.pack(_FORMAT, _FULL, relations.version, len(ring) // 8), ring]
    for members in (relations.unfollowed, relations.blocked, relations.muted, relations.pull):
        parts.append(_SET_SIZE.pack(len(members)))
        parts.append(struct.pack(f">{len(members)}q", *sorted(members)))
    return b"".join(parts)


def _stubbed(seen: bytes | None) -> bytes:
    if seen is None or len(seen) < _HEAD.size or seen[0] != _FORMAT:
        return b""
    return seen[_HEAD.size : _HEAD.size + 8 * seen[_HEAD.size - 1]]


class RelationsRole(Role):
    async def store_relations(self, user_id: int, seen: bytes | None, relations: Relations) -> bool:
        client, key = self._client, keys.relations(user_id)
        value = write_value(relations, seen)
        link = await client.link_to(keys.slot_of(user_id))
        if seen is None:
            packed = pack("SET", key, value, "EX", limits.RELATIONS_LIFE_S, "NX")
            (reply,) = await client.over(link, packed, 1, uses.RELATION)
            return client.accepted(reply, uses.RELATION) is not None
        swap = client.scripts.swap
        call = swap.call([key], seen, value, limits.RELATIONS_LIFE_S)
        return bool(await client.script_one(link, swap, call, uses.RELATION))
