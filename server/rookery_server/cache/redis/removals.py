"""Overwrites that are proven: acked by a primary that is known (R6), confirmed by every known replica of it."""

from __future__ import annotations

import asyncio

from rookery_server.cache import keys
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.commands import pack, set_body
from rookery_server.cache.redis.connection import Reply, is_error
from rookery_server.cache.redis.errors import LinkError, Refused
from rookery_server.cache.redis.profiles import set_profile_stub
from rookery_server.cache.redis.relations import stubbed_bytes, version_bytes
from rookery_server.cache.redis.role import Role
from rookery_server.cache.redis.topology import Shard
from rookery_server.domain import limits
from rookery_server.domain.clock import Clock

_GROUP = 200
"""Overwrites that share one WAIT: it proves all of them, and a longer group only makes its members wait."""


def deleted_marker(tweet_id: int, fraction: float) -> bytes:
    return set_body(keys.body(tweet_id), b"", keys.deleted_life_s(fraction), only_absent=False)


def stub_call(client: Client, user_id: int, version: int, change: int | None, *, once: bool) -> bytes:
    of = [keys.relations(user_id), keys.home(user_id), keys.home_meta(user_id), keys.history(user_id)]
    event = b"" if change is None else stubbed_bytes(change)
    return client.scripts.stub.call(of, version_bytes(version), client.settings.relations_life_ms, event, int(once))


class Settler:
    """The overwrites of one node, in groups: while one waits for the replicas the next gathers."""

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._node = node
        self._pending: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._draining: asyncio.Task[None] | None = None

    async def settle(self, packed: bytes) -> bool:
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.append((packed, settled))
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name=f"cache removals {self._node[:8]}")
        return await settled

    async def _drain(self) -> None:
        group: list[tuple[bytes, asyncio.Future[bool]]] = []
        try:
            while self._pending:
                group, self._pending = self._pending[:_GROUP], self._pending[_GROUP:]
                proven = await self._prove([packed for packed, _ in group])
                for (_, settled), proof in zip(group, proven, strict=True):
                    if not settled.done():
                        settled.set_result(proof)
        finally:
            self._draining = None
            for _, settled in (*group, *self._pending):
                if not settled.done():
                    settled.set_result(False)
            self._pending = []

    async def _prove(self, group: list[bytes]) -> list[bool]:
        try:
            topology = await self._client.topology()
            return await self._write(group, topology.shards.get(self._node))
        except LinkError as error:
            self._client.uses.failed(uses.OVERWRITE, error)
            return [False] * len(group)

    async def _write(self, group: list[bytes], node: Shard | None) -> list[bool]:
        if node is None:
            return [False] * len(group)
        # Before the overwrites: whoever adopts a node that is not known empties it first, and with it what they wrote.
        known = pack("HGET", node.watermarks_key, keys.WATERMARKS_NODE)
        replies = await self._exchange([known, *group], len(node.replicas))
        if any(is_error(reply) and str(reply).startswith("NOSCRIPT") for reply in replies):
            # Overwriting twice is overwriting.
            again = await self._exchange([*self._client.scripts.loading(), known, *group], len(node.replicas))
            replies = again[-len(replies) :]
        name, *overwritten, confirmed = replies
        for reply in filter(is_error, overwritten):
            self._client.uses.failed(uses.OVERWRITE, Refused(str(reply)))
        proven = name == node.id.encode() and isinstance(confirmed, int) and confirmed >= len(node.replicas)
        return [proven and not is_error(reply) for reply in overwritten]

    async def _exchange(self, commands: list[bytes], replicas: int) -> list[Reply]:
        _, connection = await self._client.removal_port(self._node).open()
        wait = pack("WAIT", replicas, limits.SETTLE_WAIT_MS)
        return await self._client.timed(
            connection,
            b"".join([*commands, wait]),
            len(commands) + 1,
            uses.OVERWRITE,
            patience_s=limits.SETTLE_WAIT_MS / 1000,
        )

    async def close(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])


class RemovalsRole(Role):
    def __init__(self, client: Client, clock: Clock) -> None:
        super().__init__(client, clock)
        self._settlers: dict[str, Settler] = {}

    async def mark_deleted(self, tweet_id: int) -> bool:
        return await self._settle(tweet_id, deleted_marker(tweet_id, self._client.rng.random()))

    async def stub_relations(self, user_id: int, version: int, change: int | None = None) -> bool:
        return await self._settle(user_id, stub_call(self._client, user_id, version, change, once=False))

    async def stub_profile(self, user_id: int, version: int) -> bool:
        return await self._settle(user_id, set_profile_stub(self._client, user_id, version))

    async def _settle(self, tag: int, packed: bytes) -> bool:
        try:
            node = (await self._client.known_topology()).owners[keys.slot_of(tag)]
        except LinkError:
            return False
        if node is None:
            return False
        settler = self._settlers.get(node)
        if settler is None:
            settler = self._settlers[node] = Settler(self._client, node)
        return await settler.settle(packed)

    async def _close_settlers(self) -> None:
        for settler in self._settlers.values():
            await settler.close()
