"""What is broken on purpose in a fault run: docs/faults.md."""

from __future__ import annotations

import asyncio
import random
import signal
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from rookery import Client
from rookery_server.dev import processes, valkey
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.node import ValkeyNode
from rookery_server.dev.stack import Stack
from rookery_server.domain import events

PATIENT_S = 10.0
HEAL_S = 120.0
"""Ten times what the slowest of them takes."""


class Faults:
    """The ways to break an installation.  Each returns what it did, once everything runs again.

    `star`: an author with many followers; `burst` makes it post a lot and returns while deliveries are under way."""

    def __init__(
        self,
        stack: Stack,
        installation: Installation,
        workers: list[Service],
        rng: random.Random,
        client: Client,
        star: int,
        burst: Callable[[], Awaitable[None]],
    ):
        self._stack, self._installation, self._workers, self._rng = stack, installation, workers, rng
        self._client, self._star, self._burst = client, star, burst
        self._started, self._shards = len(workers), 0
        self.kinds: dict[str, Callable[[], Awaitable[str]]] = {
            "cassandra killed": self._kill_cassandra,
            "primary killed": self._kill_primary,
            "primary stopped": self._stop_primary,
            "primary emptied": self._empty_primary,
            "worker killed": self._kill_worker,
        }

    def _start_worker(self) -> None:
        self._started += 1
        self._workers.append(self._installation.start_worker(f"work-{self._started}"))

    async def _kill_cassandra(self) -> str:
        node = self._rng.choice(self._stack.cassandra)
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(3.0)
        await asyncio.to_thread(node.restart)
        return node.name

    async def _kill_primary(self) -> str:
        node = await self._a_primary()
        await asyncio.to_thread(node.kill)
        await self._until(lambda: len(self._primaries()) == valkey.PRIMARIES)
        await asyncio.to_thread(node.restart)
        await self._until(self._in_step)
        return node.name

    async def _stop_primary(self) -> str:
        node = await self._a_primary()
        node.stop_signal()
        await asyncio.sleep(6.0)  # three times what the others wait before they choose its replica
        node.cont()
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
        await self._until(self._all_held)
        await asyncio.to_thread(self._start_worker)
        return f"{worker.node.name}, which held {sum(other == owner for other in shards.values())} shards"

    def _all_held(self) -> bool:
        """By what the workers that live say of themselves: asking the ring for leases would be a load of its own."""
        return sum(_owned(worker) for worker in self._workers) == self._shards

    # --- Valkey ---------------------------------------------------------------------------------------------------

    async def _a_primary(self) -> ValkeyNode:
        await self._until(self._in_step)
        return self._rng.choice(await asyncio.to_thread(self._primaries))

    def _role(self, node: ValkeyNode) -> list[Any]:
        with valkey.connected(node.port) as client:
            return list(client.execute_command("ROLE"))

    def _primaries(self) -> list[ValkeyNode]:
        running = [node for node in self._stack.valkey if node.is_running]
        return [node for node in running if self._role(node)[0] == "master"]

    def _in_step(self) -> bool:
        """Every primary has a replica that follows it."""
        if not all(node.is_running for node in self._stack.valkey):
            return False
        roles = [self._role(node) for node in self._stack.valkey]
        following = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
        return len(following) == valkey.PRIMARIES and valkey.whole([node.port for node in self._stack.valkey])

    async def _until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(HEAL_S):
            while not await asyncio.to_thread(met):  # noqa: ASYNC110  (only asking again can tell)
                await asyncio.sleep(0.1)


def _owned(worker: Service) -> int:
    with urllib.request.urlopen(worker.metrics_url, timeout=5) as reply:  # noqa: S310  (a local address)
        lines = reply.read().decode().splitlines()
    found = [line for line in lines if line.startswith('rookery_outbox_shards{state="owned"}')]
    return int(float(found[0].rsplit(" ", 1)[1])) if found else 0
