"""What each primary can vouch for, kept in the primary itself.

HASH under `wm:`: `node` (the primary's shard id), `flushed` (Unix ms) and one field for each outbox shard with its W.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, Marks
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.connection import Reply
from rookery_server.cache.redis.errors import LinkError, Malformed, NotSent
from rookery_server.cache.redis.role import Role
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import Outcome

_FLUSHED = b"flushed"
_UNOWNED = "slots without an owner"
"""Stands among the nodes, out of reach, while there are any."""


class WatermarksRole(Role):
    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(client, clock)
        self._adopting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read_marks(self) -> dict[str, Marks | None]:
        try:
            topology = await self._client.topology()
        except LinkError as error:
            self._client.uses.failed(uses.WATERMARK, error)
            return {}
        nodes = list(topology.shards)
        for index, node in enumerate(nodes):  # the period of the reads is a good one for a gauge, too
            self._client.uses.waiting(index, self._client.port(node).unanswered)
        found = await asyncio.gather(*(self._read_node(node) for node in nodes))
        marks = dict(zip(nodes, found, strict=True))
        # A primary that dropped out of the map with its slots is not there to be asked, and nothing may be claimed
        # without it.
        return marks if topology.whole else marks | {_UNOWNED: None}

    async def _read_node(self, node: str) -> Marks | None:
        try:
            link, _ = await self._client.port(node).open()
            return await self.read_node_marks(link)
        except LinkError as error:
            self._client.uses.failed(uses.WATERMARK, error)
            return None

    def is_current(self, link: Link) -> bool:
        return self._client.is_current(link)

    async def read_node_marks(self, link: Link) -> Marks:
        (reply,) = await self._client.over(link, pack("HGETALL", self._key(link)), 1, uses.WATERMARK)
        return _marks(link, self._client.accepted(reply, uses.WATERMARK))

    async def advance(self, link: Link, moves: Mapping[int, tuple[int | None, int]]) -> dict[int, bool]:
        if not moves:
            return {}
        advance = self._client.scripts.advance
        words: list[bytes | str | int] = [link.node]
        for shard, (expected, new) in moves.items():
            words += [shard, "" if expected is None else expected, new]
        call = advance.call([self._key(link)], *words)
        try:
            moved = await self._client.script_one(link, advance, call, uses.WATERMARK)
        except LinkError as error:
            if error.outcome is Outcome.UNKNOWN:
                self._client.uses.watermark_unknown()
            raise
        return dict.fromkeys(moves, False) | {shard: bool(one) for shard, one in zip(moves, moved, strict=False)}

    async def adopt_empty(self, link: Link, now_ms: int, stale_ms: int | None = None) -> bool:
        async with self._adopting[link.node]:  # shards of one process would end each other's new connections
            done = await self._adopt(link, now_ms, "" if stale_ms is None else stale_ms, "")
            if done < 0:
                ended = pack("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                (reply,) = await self._client.over(link, ended, 1, uses.WATERMARK)
                self._client.accepted(reply, uses.WATERMARK)
                done = await self._adopt(link, now_ms, "", "ended")
            return done > 0

    async def _adopt(self, link: Link, now_ms: int, stale: int | str, ended: str) -> int:
        adopt = self._client.scripts.adopt
        call = adopt.call([self._key(link)], link.node, now_ms, stale, ended)
        return int(await self._client.script_one(link, adopt, call, uses.WATERMARK))

    def _key(self, link: Link) -> bytes:
        shard = self._client.directory.current.shards.get(link.node)
        if shard is None:
            raise NotSent("no such node in the cluster now")
        return shard.watermarks_key


def _marks(link: Link, fields: dict[bytes, Reply]) -> Marks:
    if fields.get(keys.WATERMARKS_NODE) != link.node.encode():
        return Marks(link, known=False)
    try:
        marks = {int(shard): int(w) for shard, w in fields.items() if shard not in (keys.WATERMARKS_NODE, _FLUSHED)}
        return Marks(link, True, marks, int(fields.get(_FLUSHED, 0)))
    except ValueError as error:
        raise Malformed(f"watermarks: {error}") from error
