"""The bytes under `hd:`: a stretch of a home timeline below its list.

Layout, big-endian: format 1, below, floor, version, claim (8 bytes each), number of ids (4 bytes), the ids (8 bytes
each, as merged).
"""

from __future__ import annotations

import struct

from rookery_server.cache import keys
from rookery_server.cache.interface import HistoryRead
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.commands import get
from rookery_server.cache.redis.role import Role

_FORMAT = 1
_HEAD = struct.Struct(">BQQQqI")


def write_history(history: HistoryRead) -> bytes:
    size = len(history.ids)
    head = _HEAD.pack(_FORMAT, history.below, history.floor, history.version, history.claim_ms, size)
    return head + struct.pack(f">{size}q", *history.ids)


def parse_history(raw: bytes | None) -> HistoryRead | None:
    """None also for bytes of a format this release does not know."""
    try:
        format_, below, floor, version, claim_ms, size = _HEAD.unpack_from(raw or b"")
        if format_ != _FORMAT:
            return None
        ids = struct.unpack_from(f">{size}q", raw or b"", _HEAD.size)
    except struct.error:
        return None
    return HistoryRead(below, floor, ids, version, claim_ms)


class HistoriesRole(Role):
    async def read_history(self, user_id: int) -> HistoryRead | None:
        client = self._client
        _, (reply,) = await client.ask(keys.slot_of(user_id), get(keys.history(user_id)), 1, uses.TIMELINE_READ)
        return parse_history(client.accepted(reply, uses.TIMELINE_READ))

    async def store_history(self, user_id: int, relations_seen: bytes, history: HistoryRead) -> bool:
        client = self._client
        link = await client.link_to(keys.slot_of(user_id))
        of = [keys.relations(user_id), keys.history(user_id)]
        call = client.scripts.keep.call(of, relations_seen, write_history(history), keys.HISTORY_LIFE_S)
        return bool(await client.script_one(link, client.scripts.keep, call, uses.TIMELINE_READ))
