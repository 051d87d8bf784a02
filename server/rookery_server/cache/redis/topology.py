"""Who serves which slot: the cluster's own answer, read at start, at every sign of change, and now and then.

Nodes are named by their shard id, which outlives failovers; the address behind a name is whoever is primary now.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rookery_server.cache import keys
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.connection import Connection, Reply, is_error
from rookery_server.cache.redis.errors import LinkError, Malformed, NotSent
from rookery_server.cache.redis.settings import Address, RedisSettings

RETRY_AFTER_S = 0.1
"""Pause after a refresh that nobody answered.  After one that was answered none is needed: every new sign of change
costs a connection first, and those are spaced."""
ASKED_AT_ONCE = 3
"""Nodes tried in one refresh: so that two silent ones do not hide a cluster that is there."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One primary with its slots (closed ranges) and every replica the cluster knows of, healthy or not."""

    id: str
    primary: Address
    replicas: tuple[Address, ...]
    ranges: keys.Ranges

    @property
    def watermarks_key(self) -> bytes:
        return keys.watermarks(self.ranges)


@dataclass(frozen=True, slots=True)
class Topology:
    shards: Mapping[str, Shard] = field(default_factory=dict)
    owners: tuple[str | None, ...] = (None,) * keys.SLOTS
    """Slot → shard id; None: nobody serves it."""

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> Topology:
        by_id = {shard.id: shard for shard in sorted(shards, key=lambda shard: shard.ranges)}
        owners: list[str | None] = [None] * keys.SLOTS
        for shard in by_id.values():
            for first, last in shard.ranges:
                owners[first : last + 1] = [shard.id] * (last - first + 1)
        return cls(by_id, tuple(owners))

    @property
    def whole(self) -> bool:
        """Whether every slot has an owner."""
        return None not in self.owners

    def addresses(self) -> set[Address]:
        return {address for shard in self.shards.values() for address in (shard.primary, *shard.replicas)}


Dial = Callable[[Address], Awaitable[Connection]]
"""Opens a connection that any node accepts, primary or not.  Raises LinkError."""


class Directory:
    """The topology as last read, and its refreshing: one at a time, shared by all who wait."""

    def __init__(self, settings: RedisSettings, dial: Dial, rng: random.Random) -> None:
        self._settings = settings
        self._dial = dial
        self._rng = rng
        self._refreshing: asyncio.Task[None] | None = None
        self._read_at = self._failed_at = float("-inf")
        self._doubted: set[Address] = set()
        self._stale = True
        self.current = Topology()

    def doubt(self, address: Address | None = None) -> None:
        """Something did not go as the map says (at `address`): the next use reads it again, elsewhere if possible."""
        self._stale = True
        if address is not None:
            self._doubted.add(address)

    @property
    def due(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._failed_at < RETRY_AFTER_S:
            return False
        return self._stale or now - self._read_at >= self._settings.topology_period_s

    async def fresh(self) -> Topology:
        """The topology, read again if due.  With no node answering: the last one, or LinkError if there is none."""
        if self.due and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="cache topology")
            self._refreshing.add_done_callback(self._refreshed)
        if self._refreshing is not None:
            # One caller's cancellation is not everybody's.
            await asyncio.wait([self._refreshing])
        if not self.current.shards:
            raise NotSent("no node of the cluster has answered yet")
        return self.current

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.result()

    async def _refresh(self) -> None:
        for address in self._candidates()[:ASKED_AT_ONCE]:
            try:
                topology = await self._ask(address)
            except LinkError:
                self._doubted.add(address)
                continue
            self.current = topology
            self._stale = False
            self._doubted.clear()
            self._read_at = asyncio.get_running_loop().time()
            return
        self._failed_at = asyncio.get_running_loop().time()

    def _candidates(self) -> list[Address]:
        known = list(dict.fromkeys([*sorted(self.current.addresses(), key=str), *self._settings.addresses]))
        self._rng.shuffle(known)
        ordered = sorted(known, key=self._doubted.__contains__)
        if len(self._doubted) >= len(known):
            self._doubted.clear()
        return ordered

    async def _ask(self, address: Address) -> Topology:
        connection = await self._dial(address)
        try:
            (reply,) = await connection.send(pack("CLUSTER", "SHARDS"), 1)
            if is_error(reply):
                raise Malformed(str(reply))
            described = [shard for shard in map(_plain, reply) if shard["slots"]]
            found = [await self._shard(shard, address) for shard in described]
            topology = Topology.of(shard for shard in found if shard is not None)
            if not topology.shards:
                raise Malformed("a node that knows of no slots")  # fresh, reset or forgotten: ask another
            return topology
        except (LookupError, TypeError, ValueError) as error:
            raise Malformed(f"CLUSTER SHARDS: {error!r}") from error
        finally:
            connection.lose(NotSent("done"))

    async def _shard(self, described: dict[str, Reply], asked: Address) -> Shard | None:
        nodes = [_plain(node) for node in described["nodes"]]
        # Between a failure and the vote two may call themselves master: the one in good health is.
        nodes.sort(key=lambda node: (_text(node["role"]) != "master", _text(node["health"]) != "online"))
        addresses = [self._address(node, asked) for node in nodes]
        shard_id = _text(described["id"]) if "id" in described else await self._ask_name(addresses)
        if shard_id is None:
            return None
        primary, *others = addresses
        if _text(nodes[0]["role"]) != "master":
            # Nobody leads for a moment: the shard stays in the map, so that nothing is claimed without it.
            last = self.current.shards.get(shard_id)
            primary, others = (primary if last is None else last.primary), addresses
        slots = described["slots"]
        ranges = tuple(sorted(zip(map(int, slots[::2]), map(int, slots[1::2]), strict=True)))
        return Shard(shard_id, primary, tuple(other for other in others if other != primary), ranges)

    async def _ask_name(self, members: Iterable[Address]) -> str | None:
        """Servers older than Valkey 8.1 leave the id out of CLUSTER SHARDS: any member of the shard knows it."""
        for address in members:
            try:
                connection = await self._dial(address)
                (reply,) = await connection.send(pack("CLUSTER", "MYSHARDID"), 1)
                connection.lose(NotSent("done"))
            except LinkError:
                continue
            if not is_error(reply):
                return _text(reply)
        return next((s.id for s in self.current.shards.values() if set(members) & {s.primary, *s.replicas}), None)

    def _address(self, node: dict[str, Reply], asked: Address) -> Address:
        """Where to dial a node: the endpoint it prefers; empty means "where you reached me"."""
        host = _text(node.get("endpoint") or node.get("ip") or b"")
        port = int(node["tls-port"] if self._settings.tls and node.get("tls-port") else node["port"])
        address = Address(asked.host if host in ("", "?") else host, port)
        return self._settings.remap.get(address, address)

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])


def _text(raw: Reply) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)


def _plain(described: Reply) -> dict[str, Reply]:
    """A map of RESP3, or the flat list that RESP2-minded proxies make of it."""
    pairs = described.items() if isinstance(described, dict) else zip(described[::2], described[1::2], strict=True)
    return {_text(name): value for name, value in pairs}
