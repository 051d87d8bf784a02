"""What a process opens it closes, in the opposite order, however it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rookery_server import config
from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.config_sections import Serve, Work
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics_http import MetricsServer
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.wiring import adapters, processes

SETTINGS = config.Settings(serve=Serve(port=0, health_port=0, metrics_port=0), work=Work(health_port=0, metrics_port=0))
RUNS = [processes.serve, processes.work]
Run = Callable[[config.Settings], Awaitable[None]]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Adapters that keep nothing and tell that they were closed; processes end as soon as they have started."""
    told: list[str] = []
    clock = SystemClock()
    store: Any = MemoryStoreWorld(clock, shards=4).client()
    cache: Any = MemoryCacheWorld(clock).client()

    def tells(name: str, of: Any, method: str) -> None:
        closing = getattr(of, method)

        async def close(*arguments: Any) -> None:
            told.append(name)
            await closing(*arguments)

        monkeypatch.setattr(of, method, close)

    class Opening:
        @staticmethod
        async def open(*_: Any, **__: Any) -> Any:
            return store

    async def at_once(process: Any) -> None:
        told.append("ran")
        process.stop()
        await process.wait()
        await process.drain()

    tells("store", store, "close")
    tells("cache", cache, "close")
    tells("metrics", MetricsServer, "stop")
    monkeypatch.setattr(processes, "CassandraStore", Opening)
    monkeypatch.setattr(adapters, "redis_cache", lambda *_: cache)
    monkeypatch.setattr(processes, "_until_told", at_once)
    return told


@pytest.mark.parametrize("run", RUNS)
async def test_a_process_closes_what_it_opened(run: Run, closed: list[str]) -> None:
    await run(SETTINGS)
    assert closed == ["ran", "metrics", "cache", "store"]


@pytest.mark.parametrize("run", RUNS)
async def test_a_process_that_dies_closes_it_too(run: Run, closed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def dies(process: Any) -> None:
        await process.drain()
        raise OSError

    monkeypatch.setattr(processes, "_until_told", dies)
    with pytest.raises(OSError):
        await run(SETTINGS)
    assert closed == ["metrics", "cache", "store"]


@pytest.mark.parametrize("run", RUNS)
async def test_a_process_without_a_cache_closes_its_store(
    run: Run, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(adapters, "redis_cache", fails)
    with pytest.raises(ValueError):
        await run(SETTINGS)
    assert closed == ["store"]
