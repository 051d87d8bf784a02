"""The bytes under `rel:`, and who may replace them.

Layout, big-endian: format 2, kind (0 stub, 1 relations), version (8 bytes), number of changes it was stubbed for
(1 byte), their event ids (8 bytes each, newest last, at most 8); relations go on with four sets (unfollowed, blocked,
pull, blocked_by), each its length (4 bytes; all ones: too many to carry) and its members ascending, and with the mutes:
their number (4 bytes), the accounts ascending, their ends in the same order (Unix ms).  scripts/stub.lua
writes stubs of the same layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, RelationsRead
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.role import Role
from rookery_server.domain.models import Relations

_FORMAT, _STUB, _FULL = 2, 0, 1
_HEAD = struct.Struct(">BBQB")
_SIZE = struct.Struct(">I")
_TOO_MANY = 0xFFFF_FFFF


def version_bytes(version: int) -> bytes:
    return version.to_bytes(8, "big")


def stubbed_bytes(change: int) -> bytes:
    return change.to_bytes(8, "big")


def read_value(link: Link, raw: bytes | None) -> RelationsRead:
    """What a value that was read over `link` says.  Bytes of a format this release does not know count as a stub of
    version 0: they are replaced, never believed."""
    if raw is None:
        return RelationsRead(link, None, 0, None)
    try:
        format_, kind, version, stubbed = _HEAD.unpack_from(raw)
        if format_ != _FORMAT:
            return RelationsRead(link, raw, 0, None)
        if kind == _STUB:
            return RelationsRead(link, raw, version, None)
        return RelationsRead(link, raw, version, _relations(version, raw, _HEAD.size + 8 * stubbed))
    except struct.error:
        return RelationsRead(link, raw, 0, None)


def _relations(version: int, raw: bytes, at: int) -> Relations:
    """What follows the head; raises struct.error if it is cut short."""
    sets: list[frozenset[int] | None] = []
    for _ in range(4):
        members, at = _read_ids(raw, at)
        sets.append(None if members is None else frozenset(members))
    muted, at = _read_ids(raw, at)
    ends = struct.unpack_from(f">{len(muted or ())}q", raw, at)
    unfollowed, blocked, pull, blocked_by = sets
    return Relations(
        version=version,
        unfollowed=unfollowed or frozenset(),
        blocked=blocked or frozenset(),
        muted=dict(zip(muted or (), ends, strict=True)),
        pull=pull or frozenset(),
        blocked_by=blocked_by,
    )


def _read_ids(raw: bytes, at: int) -> tuple[tuple[int, ...] | None, int]:
    (size,) = _SIZE.unpack_from(raw, at)
    at += _SIZE.size
    if size == _TOO_MANY:
        return None, at
    return struct.unpack_from(f">{size}q", raw, at), at + 8 * size


def _write_ids(members: Iterable[int] | None) -> bytes:
    if members is None:
        return _SIZE.pack(_TOO_MANY)
    ascending = sorted(members)
    return struct.pack(f">I{len(ascending)}q", len(ascending), *ascending)


def write_value(relations: Relations, seen: bytes | None) -> bytes:
    """The value to store over `seen`, whose ring of changes it carries on."""
    ring = _stubbed(seen)
    parts = [_HEAD.pack(_FORMAT, _FULL, relations.version, len(ring) // 8), ring]
    parts += map(_write_ids, (relations.unfollowed, relations.blocked, relations.pull, relations.blocked_by))
    ends = [relations.muted[user_id] for user_id in sorted(relations.muted)]
    return b"".join((*parts, _write_ids(relations.muted), struct.pack(f">{len(ends)}q", *ends)))


def _stubbed(seen: bytes | None) -> bytes:
    if seen is None or len(seen) < _HEAD.size or seen[0] != _FORMAT:
        return b""
    return seen[_HEAD.size : _HEAD.size + 8 * seen[_HEAD.size - 1]]


class RelationsRole(Role):
    async def read_relations(self, user_id: int) -> RelationsRead:
        packed = pack("GET", keys.relations(user_id))
        link, (reply,) = await self._client.ask(keys.slot_of(user_id), packed, 1, uses.RELATION)
        return read_value(link, self._client.accepted(reply, uses.RELATION))

    async def store_relations(self, user_id: int, over: RelationsRead, relations: Relations) -> bool:
        client, key = self._client, keys.relations(user_id)
        value = write_value(relations, over.seen)
        if over.seen is None:
            packed = pack("SET", key, value, "PX", client.settings.relations_life_ms, "NX")
            (reply,) = await client.over(over.link, packed, 1, uses.RELATION)
            return client.accepted(reply, uses.RELATION) is not None
        swap = client.scripts.swap
        call = swap.call([key], over.seen, value, client.settings.relations_life_ms)
        return bool(await client.script_one(over.link, swap, call, uses.RELATION))
