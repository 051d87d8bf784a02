"""A stack that another command runs: its nodes with all the ways to hurt them, from outside.

What was killed is started again by the keeper of the stack, exactly as it was, so it ends with the stack.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rookery_server.dev import cql, processes, state, status, valkey
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.installation import HOST, Service, is_ready
from rookery_server.dev.node import Node, ValkeyNode
from rookery_server.dev.processes import ProcessRef

_AGAIN_SECONDS = 10.0
"""The keeper does it at once; the rest is for a machine with other work."""


class AttachedNode(Node):
    """`process`: which runs now."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        log: Path,
        *,
        launch: Callable[[], ProcessRef],
        answers: Callable[[], bool],
        process: ProcessRef,
    ) -> None:
        super().__init__(name, host, port, log, launch=launch, answers=answers)
        self._process = process


class AttachedValkeyNode(AttachedNode, ValkeyNode):
    """With data to lose."""


@dataclass(frozen=True, slots=True)
class AttachedStack:
    """Everything of it ran when it was found."""

    name: str
    folder: Path
    cassandra: tuple[Node, ...]
    valkey: tuple[ValkeyNode, ...]
    servers: tuple[Service, ...]
    workers: tuple[Service, ...]


def attach(name: str) -> AttachedStack:
    """Raises LocalClusterError when the stack of that name does not run whole on this machine, with at least a server
    and a worker beside its engines."""
    found = status.stack_status(name)
    if not found.is_up:
        raise LocalClusterError(f"No stack '{name}' runs on this machine: `rookery up` starts one.")
    if not found.is_ready:
        sick = ", ".join(
            f"{engine.name} is {engine.condition}" for engine in found.engines if engine.condition != "ready"
        )
        raise LocalClusterError(f"The stack '{name}' is not well: {sick}.")
    running = state.running(found.folder).engines
    nodes = [_node(found.folder, engine, running[engine.name]) for engine in found.engines]
    known = {engine.name for engine in found.engines}
    beside = [_service(found.folder, other, ref) for other, ref in running.items() if other not in known]
    stack = AttachedStack(
        name,
        found.folder,
        tuple(node for node in nodes if not isinstance(node, ValkeyNode)),
        tuple(node for node in nodes if isinstance(node, ValkeyNode)),
        tuple(service for service in beside if service is not None and service.port),
        tuple(service for service in beside if service is not None and not service.port),
    )
    if not stack.servers or not stack.workers:
        raise LocalClusterError(f"The stack '{name}' has no server and worker: `rookery up` starts it with both.")
    return stack


def start_again(folder: Path, name: str) -> ProcessRef:
    """Has the keeper start what has ended as it was started before.  Raises LocalClusterError."""
    before, keeper = state.running(folder).engines.get(name), state.running(folder).keeper
    if keeper is None:
        raise LocalClusterError("The keeper of this stack has died; its engines died with it.")
    (folder / "again").mkdir(exist_ok=True)
    (folder / "again" / name).touch()
    processes.send(keeper, signal.SIGUSR1)
    deadline = time.monotonic() + _AGAIN_SECONDS
    while time.monotonic() < deadline:
        now = state.running(folder).engines.get(name)
        if now is not None and now != before:
            return now
        time.sleep(0.02)
    raise LocalClusterError(f"{name} was not started again; see {folder / 'keeper.log'}.")


def _node(folder: Path, engine: status.EngineStatus, process: ProcessRef) -> Node:
    host, port, log = engine.host, engine.port, folder / "logs" / f"{engine.name}.log"

    def launch() -> ProcessRef:
        return start_again(folder, engine.name)

    if engine.name.startswith("valkey"):
        return AttachedValkeyNode(
            engine.name, host, port, log, launch=launch, answers=lambda: valkey.answers(port), process=process
        )
    return AttachedNode(
        engine.name, host, port, log, launch=launch, answers=lambda: cql.answers(host, port), process=process
    )


def _service(folder: Path, name: str, process: ProcessRef) -> Service | None:
    """None for something beside the engines that is neither server nor worker."""
    told = _environment(process)
    role = next((role for role in ("SERVE", "WORK") if f"ROOKERY_{role}__METRICS_PORT" in told), None)
    if role is None:
        return None
    port = int(told.get("ROOKERY_SERVE__PORT", "0"))
    health, metrics = (int(told[f"ROOKERY_{role}__{what}_PORT"]) for what in ("HEALTH", "METRICS"))
    node = AttachedNode(
        name,
        HOST,
        port or health,
        folder / "logs" / f"{name}.log",
        launch=lambda: start_again(folder, name),
        answers=lambda: is_ready(health),
        process=process,
    )
    return Service(node, port, health, metrics)


def _environment(process: ProcessRef) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is not ours
        return {}
    return dict(pair.decode(errors="replace").split("=", 1) for pair in pairs if b"=" in pair)
