"""What every path needs to know of an account: loaded over what was seen, overwritten by stubs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, ProfileRead
from rookery_server.cache.memory.bodies import BodiesRole
from rookery_server.cache.memory.node import Node
from rookery_server.domain.errors import CacheUnavailable

_STUB, _VALUE = b"0", b"1"
"""First byte of what is stored."""
_STUBS = itertools.count(1)
"""So that no two stubs are ever alike, even of one version: an event may be applied again."""


def set_profile_stub(node: Node, user_id: int, version: int) -> None:
    node.set(keys.profile(user_id), b"%b%d %d" % (_STUB, version, next(_STUBS)), keys.PROFILE_LIFE_S)


def _seen(node: Node, user_id: int) -> bytes | None:
    raw = node.get(keys.profile(user_id))
    return raw if isinstance(raw, bytes) else None


def _read(link: Link, raw: bytes | None) -> ProfileRead:
    return ProfileRead(link, raw, raw[1:] if raw is not None and raw.startswith(_VALUE) else None)


class ProfilesRole(BodiesRole):
    async def read_profiles(self, user_ids: Sequence[int]) -> dict[int, ProfileRead]:
        found: dict[int, ProfileRead] = {}

        async def of_node(wanted: list[int]) -> None:
            try:
                link, values = await self._ask(
                    wanted[0], "read_profiles", lambda node: [_seen(node, user_id) for user_id in wanted]
                )
            except CacheUnavailable:
                return
            found.update((user_id, _read(link, raw)) for user_id, raw in zip(wanted, values, strict=True))

        await asyncio.gather(*map(of_node, self._by_node(dict.fromkeys(user_ids)).values()))
        return found

    async def store_profiles(self, values: Mapping[int, tuple[ProfileRead, bytes]]) -> None:
        groups: dict[Link, list[int]] = {}
        for user_id, (over, _) in values.items():
            groups.setdefault(over.link, []).append(user_id)

        async def of_link(link: Link, wanted: list[int]) -> None:
            def store(node: Node) -> None:
                for user_id in wanted:
                    over, value = values[user_id]
                    if _seen(node, user_id) == over.seen:
                        node.set(keys.profile(user_id), _VALUE + value, keys.PROFILE_LIFE_S)

            try:
                await self._over(link, "store_profiles", store)
            except CacheUnavailable:
                return  # the next read loads them again

        await asyncio.gather(*(of_link(link, wanted) for link, wanted in groups.items()))

    async def stub_profile(self, user_id: int, version: int) -> bool:
        return await self._settle("stub_profile", user_id, lambda node: set_profile_stub(node, user_id, version))
