"""The bytes under `p:`, and who may replace them.

Layout: format 1, kind (0 stub, 1 profile); a stub goes on with its version (8 bytes, big-endian) and 8 random bytes, so
that no two stubs are alike, even when one event is applied again; a profile with whatever the service stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, ProfileRead
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.commands import get, pack
from rookery_server.cache.redis.connection import is_error
from rookery_server.cache.redis.errors import LinkError, Refused
from rookery_server.cache.redis.role import Role

_STUB, _FULL = b"\x01\x00", b"\x01\x01"


def set_profile_stub(client: Client, user_id: int, version: int) -> bytes:
    """The packed command."""
    stub = _STUB + version.to_bytes(8, "big") + client.rng.getrandbits(64).to_bytes(8, "big")
    return pack("SET", keys.profile(user_id), stub, "EX", keys.PROFILE_LIFE_S)


def read_profile(link: Link, raw: bytes | None) -> ProfileRead:
    """Bytes of a format this release does not know count as a stub."""
    return ProfileRead(link, raw, raw[len(_FULL) :] if raw is not None and raw.startswith(_FULL) else None)


class ProfilesRole(Role):
    async def read_profiles(self, user_ids: Sequence[int]) -> dict[int, ProfileRead]:
        found: dict[int, ProfileRead] = {}
        for part in await self._client.ask_all(user_ids, _get, 1, uses.PROFILE):
            for user_id, raw in zip(part.tags, part.replies, strict=True):
                if not is_error(raw):
                    found[user_id] = read_profile(part.link, raw)
        return found

    async def store_profiles(self, values: Mapping[int, tuple[ProfileRead, bytes]]) -> None:
        groups: dict[Link, list[bytes]] = {}
        for user_id, (over, value) in values.items():
            groups.setdefault(over.link, []).append(self._swap(user_id, over.seen, value))
        await asyncio.gather(*(self._store(link, calls) for link, calls in groups.items()))

    def _swap(self, user_id: int, seen: bytes | None, value: bytes) -> bytes:
        life_ms = 1000 * keys.jittered(keys.PROFILE_LIFE_S, self._client.rng.random())
        return self._client.scripts.swap.call([keys.profile(user_id)], seen or b"", _FULL + value, life_ms)

    async def _store(self, link: Link, calls: list[bytes]) -> None:
        client = self._client
        try:
            for at in range(0, len(calls), client.bulk):
                for reply in await client.script(link, client.scripts.swap, calls[at : at + client.bulk], uses.PROFILE):
                    if is_error(reply):
                        client.uses.failed(uses.PROFILE, Refused(str(reply)))
        except LinkError:
            return  # counted already; the next read loads them again


def _get(user_id: int) -> bytes:
    return get(keys.profile(user_id))
