"""What is broken on purpose, by drills and fault runs: docs/faults.md."""

from __future__ import annotations

import asyncio
import random
import signal
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Protocol

import redis

from rookery import Client
from rookery_server.dev import processes, valkey
from rookery_server.dev.installation import Service
from rookery_server.dev.node import Node, ValkeyNode
from rookery_server.domain import events

PATIENT_S = 10.0
HEAL_S = 120.0
"""Ten times what the slowest of them takes."""
AWAY_S = 3.0
"""What nobody takes the place of is away for so long: longer than the others need to notice."""

SILENT_S = 25.0
"""Longer than a ring and those who use it need to leave a node that stands still (decision 031)."""


class Engines(Protocol):
    """A stack, one's own or another command's."""

    @property
    def cassandra(self) -> tuple[Node, ...]: ...

    @property
    def valkey(self) -> tuple[ValkeyNode, ...]: ...


class Faults:
    """The ways to break an installation.  Each returns what it did, once everything runs again.

    `star`: an author with many followers; `burst` makes it post a lot and returns while deliveries are under way.
    `replace`: starts a worker in the place of one that was killed.  `away_s`: how long a killed Cassandra node, or a
    killed primary without a replica, stays away.  `kinds`: those this installation can take: one Cassandra node is
    neither killed nor stopped."""

    def __init__(
        self,
        stack: Engines,
        workers: list[Service],
        replace: Callable[[Service], Service],
        rng: random.Random,
        client: Client,
        star: int,
        burst: Callable[[], Awaitable[None]],
        away_s: float = AWAY_S,
    ):
        self._stack, self._workers, self._replace, self._rng = stack, workers, replace, rng
        self._client, self._star, self._burst, self._away_s = client, star, burst, away_s
        self._shards = 0
        self._replicas = len(stack.valkey) - valkey.PRIMARIES
        of_rings = {"cassandra killed": self._kill_cassandra, "cassandra stopped": self._stop_cassandra}
        self.kinds: dict[str, Callable[[], Awaitable[str]]] = {
            **(of_rings if len(stack.cassandra) > 1 else {}),
            "primary killed": self._kill_primary,
            "primary stopped": self._stop_primary,
            "primary emptied": self._empty_primary,
            "worker killed": self._kill_worker,
        }

    async def _kill_cassandra(self) -> str:
        node = self._rng.choice(self._stack.cassandra)
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(self._away_s)
        await asyncio.to_thread(node.restart)
        return node.name

    async def _stop_cassandra(self) -> str:
        node = self._rng.choice(self._stack.cassandra)
        await _asleep(node, SILENT_S)
        await asyncio.to_thread(node.wait_ready, time.monotonic() + HEAL_S)
        return node.name

    async def _kill_primary(self) -> str:
        node = await self._a_primary()
        await asyncio.to_thread(node.kill)
        if self._replicas:
            await self._until(lambda: len(self._primaries()) == valkey.PRIMARIES)
        else:
            await asyncio.sleep(self._away_s)
        await asyncio.to_thread(node.restart)
        await self._until(self._in_step)
        return node.name

    async def _stop_primary(self) -> str:
        node = await self._a_primary()
        await _asleep(node, 6.0)  # three times what the others wait before they choose its replica
        await self._until(self._in_step)
        return node.name

    async def _empty_primary(self) -> str:
        node = await self._a_primary()
        await asyncio.to_thread(node.restart_empty)
        await self._until(self._in_step)
        return node.name

    async def _kill_worker(self) -> str:
        """The one that delivers the star's posts, while it does."""
        shards = {row.shard: row.lease.owner for row in (await self._client.list_shards(timeout_s=PATIENT_S)).shards}
        self._shards = len(shards)
        owner = shards[events.shard_of(self._star, len(shards))]
        worker = next(worker for worker in self._workers if f"/{worker.node.pid}/" in owner)
        await self._burst()
        processes.send(worker.node.process, signal.SIGKILL)
        self._workers.remove(worker)
        others = bool(self._workers)
        if others:
            await self._until(self._all_held)
        await asyncio.to_thread(processes.wait_gone, worker.node.process, PATIENT_S)
        self._workers.append(await asyncio.to_thread(self._replace, worker))
        if not others:  # the one in its place takes over once the leases of the dead are free
            await self._until(self._all_held)
        return f"{worker.node.name}, which held {sum(other == owner for other in shards.values())} shards"

    def _all_held(self) -> bool:
        """By what the workers that live say of themselves: asking the ring for leases would be a load of its own."""
        return sum(_owned(worker) for worker in self._workers) == self._shards

    # --- Valkey ---------------------------------------------------------------------------------------------------

    async def _a_primary(self) -> ValkeyNode:
        await self._until(self._in_step)
        return self._rng.choice(await asyncio.to_thread(self._primaries))

    def _primaries(self) -> list[ValkeyNode]:
        running = [node for node in self._stack.valkey if node.is_running]
        return [node for node in running if valkey.role(node.port)[0] == "master"]

    def _in_step(self) -> bool:
        """All run, and every replica follows its primary."""
        if not all(node.is_running for node in self._stack.valkey):
            return False
        roles = [valkey.role(node.port) for node in self._stack.valkey]
        following = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
        return len(following) == self._replicas and valkey.whole([node.port for node in self._stack.valkey])

    async def _until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(HEAL_S):
            while not await asyncio.to_thread(_answered, met):  # noqa: ASYNC110  (only asking again can tell)
                await asyncio.sleep(0.1)


async def _asleep(node: Node, seconds: float) -> None:
    """Also a drill that is interrupted leaves it awake: the stack goes on."""
    node.stop_signal()
    try:
        await asyncio.sleep(seconds)
    finally:
        node.cont()


def _answered(met: Callable[[], bool]) -> bool:
    """Of who does not answer nothing can be said: not yet."""
    try:
        return met()
    except (redis.RedisError, OSError):
        return False


def _owned(worker: Service) -> int:
    with urllib.request.urlopen(worker.metrics_url, timeout=5) as reply:  # noqa: S310  (a local address)
        lines = reply.read().decode().splitlines()
    found = [line for line in lines if line.startswith('rookery_outbox_shards{state="owned"}')]
    return int(float(found[0].rsplit(" ", 1)[1])) if found else 0
