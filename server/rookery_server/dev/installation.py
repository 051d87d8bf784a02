"""A whole installation on a local stack: the schema, servers and workers as real processes beside the engines."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rookery_server.cli.session import EXIT_UNAVAILABLE
from rookery_server.dev import ports
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.node import Node
from rookery_server.dev.stack import Stack

HOST = "127.0.0.1"
MIGRATE_SECONDS = 120.0
"""A ring of three needs a few seconds; the rest is for a machine with other work."""
_AGAIN_SECONDS = 1.0
_HEALTH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """A server or worker process.  `port` is 0 for a worker."""

    node: Node
    port: int
    health_port: int
    metrics_port: int

    @property
    def target(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{HOST}:{self.metrics_port}/metrics"


class Installation:
    """Starts processes that use `stack`, which must be up; they end with it.  `settings` are further environment
    names, as `rookery serve --show-settings` lists them."""

    def __init__(self, stack: Stack, *, keyspace: str = "rookery", settings: Mapping[str, str] | None = None):
        self._stack, self._rng = stack, random.Random()
        self._settings = {
            "ROOKERY_CASSANDRA__CONTACT_POINTS": ",".join(stack.cassandra_contact_points),
            "ROOKERY_CASSANDRA__PORT": str(stack.cassandra_port),
            "ROOKERY_CASSANDRA__KEYSPACE": keyspace,
            "ROOKERY_CASSANDRA__REPLICATION_FACTOR": str(min(3, len(stack.cassandra_contact_points))),
            "ROOKERY_REDIS__NODES": ",".join(f"{host}:{port}" for host, port in stack.valkey_nodes),
            **(settings or {}),
        }

    @property
    def settings(self) -> Mapping[str, str]:
        """What every process of it is told, by environment name."""
        return self._settings

    def migrate(self) -> str:
        """Runs `rookery migrate`, again while the ring does not answer: it has just been started.

        Returns what it said.  Raises LocalClusterError."""
        deadline = time.monotonic() + MIGRATE_SECONDS
        while True:
            done = subprocess.run(
                self._argv("migrate", {}), capture_output=True, text=True, timeout=MIGRATE_SECONDS, check=False
            )
            if done.returncode != EXIT_UNAVAILABLE or time.monotonic() >= deadline:
                break
            time.sleep(_AGAIN_SECONDS)
        if done.returncode:
            raise LocalClusterError(f"`rookery migrate` failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def start_server(
        self,
        name: str = "serve",
        *,
        wanted: tuple[int, int, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Service:
        """`wanted`: ports of calls, health and metrics to use where all are free.  Returns once it is ready."""
        chosen = wanted if wanted and all(map(ports.is_free, wanted)) else ports.choose(3, rng=self._rng)
        port, health, metrics = chosen
        own = {
            "ROOKERY_SERVE__PORT": str(port),
            "ROOKERY_SERVE__HEALTH_PORT": str(health),
            "ROOKERY_SERVE__METRICS_PORT": str(metrics),
            **(settings or {}),
        }
        return Service(self._start(name, "serve", own, port, health), port, health, metrics)

    def start_worker(
        self, name: str = "work", *, wanted: tuple[int, int] | None = None, settings: Mapping[str, str] | None = None
    ) -> Service:
        """`wanted`: ports of health and metrics."""
        chosen = wanted if wanted and all(map(ports.is_free, wanted)) else ports.choose(2, rng=self._rng)
        health, metrics = chosen
        own = {
            "ROOKERY_WORK__HEALTH_PORT": str(health),
            "ROOKERY_WORK__METRICS_PORT": str(metrics),
            **(settings or {}),
        }
        return Service(self._start(name, "work", own, health, health), 0, health, metrics)

    def _start(self, name: str, role: str, own: Mapping[str, str], port: int, health: int) -> Node:
        return self._stack.start_beside(
            name, self._argv(role, own), host=HOST, port=port, answers=lambda: is_ready(health)
        )

    def _argv(self, role: str, own: Mapping[str, str]) -> list[str]:
        told = [f"{name}={value}" for name, value in {**self._settings, **own}.items()]
        return ["/usr/bin/env", *told, sys.executable, "-m", "rookery_server", role]


def is_ready(health_port: int) -> bool:
    """Whether the process says it may be sent work."""
    with grpc.insecure_channel(f"{HOST}:{health_port}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="ready"), timeout=_HEALTH_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
