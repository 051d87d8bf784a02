"""`rookery work`: one worker process out of its parts."""

from __future__ import annotations

from rookery_server.cache.interface import Cache
from rookery_server.domain.clock import Clock
from rookery_server.metrics import Metrics
from rookery_server.rpc.health import Health
from rookery_server.store.interface import Store
from rookery_server.wiring.background import Background
from rookery_server.wiring.heartbeat import Heartbeat
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings


class WorkerProcess:
    """A worker with its health listener.  `owner` names this process and no other, ever."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        metrics: Metrics,
        owner: str,
        health: str,
        settings: WorkerSettings,
    ):
        self._worker = Worker(store, cache, clock, settings, owner, metrics)
        self._health, self._health_address = Health([]), health
        self._beat = Heartbeat(clock, metrics, {"clock": lambda: self._worker.clock_agrees}, self._tell_ready)
        self._background = Background()

    async def start(self) -> int:
        """Begins; returns the port of health."""
        port = await self._health.start(self._health_address)
        self._background.start("worker", self._worker.run())
        self._background.start("heartbeat", self._beat.run())
        await self._health.started()
        return port

    async def _tell_ready(self, ready: bool) -> None:
        await self._health.ready(serving=ready)

    def stop(self) -> None:
        self._background.stop()

    async def wait(self) -> None:
        await self._background.wait()

    async def drain(self) -> None:
        """Stops claiming, finishes the page in hand, moves W, saves, releases its shards."""
        await self._health.drain()
        await self._worker.drain()
        await self._background.end()
        await self._health.stop()
