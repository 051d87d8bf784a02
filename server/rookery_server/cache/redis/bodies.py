"""Framed tweets by id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import FillMark, Link
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.commands import get, set_body
from rookery_server.cache.redis.connection import is_error
from rookery_server.cache.redis.errors import LinkError, Refused
from rookery_server.cache.redis.role import Role
from rookery_server.domain import limits


class BodiesRole(Role):
    async def get_bodies(self, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for part in await self._client.ask_all(tweet_ids, _get, 1, uses.BODY):
            for tweet_id, framed in zip(part.tags, part.replies, strict=True):
                if type(framed) is bytes:  # None: missing; otherwise an error, which is as good as missing
                    found[tweet_id] = framed
        return found

    def fill_mark(self) -> FillMark:
        return FillMark(self._clock.monotonic(), self._client.current_links())

    async def fill_bodies(self, bodies: Mapping[int, bytes], mark: FillMark) -> None:
        owners = self._client.directory.current.owners
        groups: dict[Link, list[bytes]] = {}
        for tweet_id, framed in bodies.items():
            link = mark.links.get(owners[keys.slot_of(tweet_id)] or "")
            if link is not None:
                groups.setdefault(link, []).append(self._fill(tweet_id, framed))
        await asyncio.gather(*(self._fill_over(link, fills, mark.started) for link, fills in groups.items()))

    def _fill(self, tweet_id: int, framed: bytes) -> bytes:
        fraction = self._client.rng.random()
        life = keys.jittered(limits.BODY_LIFE_S, fraction) if framed else keys.deleted_life_s(fraction)
        return set_body(keys.body(tweet_id), framed, life, only_absent=True)

    async def _fill_over(self, link: Link, fills: list[bytes], started: float) -> None:
        for at in range(0, len(fills), self._client.bulk):
            if self._clock.monotonic() - started > limits.FILL_MAX_AGE_S:
                return
            part = fills[at : at + self._client.bulk]
            try:
                for reply in await self._client.over(link, b"".join(part), len(part), uses.BODY):
                    if is_error(reply):
                        self._client.uses.failed(uses.BODY, Refused(str(reply)))
            except LinkError:
                return  # counted already; a fill that fails is forgotten


def _get(tweet_id: int) -> bytes:
    return get(keys.body(tweet_id))
