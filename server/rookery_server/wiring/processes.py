"""The processes themselves: connect, start, serve until told to stop, drain, close."""

from __future__ import annotations

import asyncio
import logging
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

import grpc
import structlog

from rookery_server import config
from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.metrics_http import MetricsServer
from rookery_server.rpc.methods import SERVICES, method_of
from rookery_server.store.cassandra import migrations
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.wiring import adapters
from rookery_server.wiring.serving import Listening, ServerProcess
from rookery_server.wiring.working import WorkerProcess
from rookery_server.workers.runner import Worker

log = structlog.get_logger()


class _Process(Protocol):
    def stop(self) -> None: ...

    async def wait(self) -> None: ...

    async def drain(self) -> None: ...


def new_metrics(*, of_process: bool = True) -> Metrics:
    """`of_process`: with this process's own figures (memory, descriptors, collector)."""
    methods = [method_of(method).label for service in SERVICES for method in service.methods]
    metrics = Metrics(methods)
    if of_process:
        metrics.collect_process()
    metrics.build_info(version("rookery"), "", platform.python_version(), grpc.__version__).set(1)
    return metrics


@dataclass(frozen=True, slots=True)
class _Connected:
    store: CassandraStore
    cache: RedisCache
    clock: SystemClock
    metrics: Metrics
    scrape: MetricsServer
    """Not listening yet."""


@asynccontextmanager
async def _connected(settings: config.Settings) -> AsyncIterator[_Connected]:
    """What servers and workers both work with; closed in the opposite order.  Raises what keeps it from opening."""
    clock, metrics = SystemClock(), new_metrics()
    async with AsyncExitStack() as opened:
        store = await CassandraStore.open(
            adapters.cassandra_settings(settings),
            metrics,
            clock,
            shards=settings.outbox.shards,
            crossing=settings.tiers.crossing,
        )
        opened.push_async_callback(store.close)
        cache = adapters.redis_cache(settings, clock, metrics)
        opened.push_async_callback(cache.close)
        scrape = MetricsServer(metrics.render)
        opened.push_async_callback(scrape.stop)
        yield _Connected(store, cache, clock, metrics, scrape)


async def serve(settings: config.Settings) -> None:
    """`rookery serve`.  Returns after a drain; raises what keeps it from starting."""
    of = settings.serve
    listening = Listening(
        address=f"{of.host}:{of.port}",
        health=f"{of.side_host}:{of.health_port}",
        tls=adapters.server_tls(of.tls),
        reflect=of.reflection,
        drain_s=of.drain_s,
    )
    async with _connected(settings) as on:
        process = ServerProcess(
            on.store,
            on.cache,
            on.clock,
            on.metrics,
            adapters.identify(settings),
            adapters.token_signer(settings),
            adapters.owner_name(),
            listening,
            adapters.serve_choices(settings),
        )
        scraped = await on.scrape.start(of.side_host, of.metrics_port)
        port, health = await process.start()
        log.info("serving", port=port, health_port=health, metrics_port=scraped)
        await _until_told(process)


async def work(settings: config.Settings) -> None:
    """`rookery work`."""
    of = settings.work
    async with _connected(settings) as on:
        process = WorkerProcess(
            on.store,
            on.cache,
            on.clock,
            on.metrics,
            adapters.owner_name(),
            f"{of.side_host}:{of.health_port}",
            adapters.worker_settings(settings),
        )
        scraped = await on.scrape.start(of.side_host, of.metrics_port)
        health = await process.start()
        log.info("working", health_port=health, metrics_port=scraped)
        await _until_told(process)


async def serve_in_memory(settings: config.Settings) -> None:
    """`rookery serve --store memory`: server and worker in one process, nothing kept when it ends."""
    clock, metrics, of = SystemClock(), new_metrics(), settings.serve
    truth = MemoryStoreWorld(clock, settings.outbox.shards)
    copies = MemoryCacheWorld(clock, relations_life_s=settings.tiers.relations_life_s)
    listening = Listening(address=f"{of.host}:{of.port}", health=f"{of.side_host}:{of.health_port}")
    server = ServerProcess(
        truth.client(),
        copies.client(),
        clock,
        metrics,
        adapters.identify(settings),
        adapters.token_signer(settings),
        adapters.owner_name(),
        listening,
        adapters.serve_choices(settings),
    )
    worker = Worker(
        truth.client(), copies.client(), clock, adapters.worker_settings(settings), adapters.owner_name(), metrics
    )
    port, health = await server.start()
    working = asyncio.create_task(worker.run())
    log.info("serving from memory: nothing is kept", port=port, health_port=health)
    try:
        await _until_told(server)
    finally:
        await worker.drain()
        await working


async def migrate(settings: config.Settings, report: Callable[[str], None], agree: bool) -> migrations.Installed:
    """`rookery migrate`.  `agree`: other times of tiers are agreed upon as well."""
    return await migrations.migrate(
        adapters.cassandra_settings(settings),
        new_metrics(of_process=False),
        SystemClock(),
        adapters.owner_name(),
        adapters.schema_plan(settings, agree),
        report,
    )


async def _until_told(process: _Process) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second signal is left to end the process at once."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        log.info("stopping", signal=number.name)
        loop.remove_signal_handler(number)
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        await process.wait()
    finally:
        await process.drain()


def set_up_logging() -> None:
    """JSON lines on standard error, the driver's and gRPC's own lines included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.INFO
    logging.getLogger("cassandra").setLevel(logging.WARNING)  # it tells each connection of each host at INFO
