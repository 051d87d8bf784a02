"""What a stack is asked to be, what is remembered of it between runs, and what of it runs now."""

import fcntl
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rookery_server.dev import ports, processes
from rookery_server.dev.cassandra import ring_hosts
from rookery_server.dev.errors import LocalClusterError, PortTaken, StackMismatch
from rookery_server.dev.processes import ProcessRef
from rookery_server.dev.records import read_json, write_json
from rookery_server.dev.valkey import PRIMARIES

Address = tuple[str, int]


def parse_addresses(text: str) -> tuple[Address, ...]:
    """`HOST:PORT,HOST:PORT` as pairs. Raises LocalClusterError."""
    found = []
    for part in filter(None, text.split(",")):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdigit():
            raise LocalClusterError(f"'{part}' is not HOST:PORT.")
        found.append((host, int(port)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class StackSpec:
    """What to start.

    durable: Cassandra syncs its commit log before it acknowledges, so that even kill -9 loses nothing acknowledged.
    throwaway: nothing is kept after `down`; the schema is not flushed at every change (4 times faster DDL), so a kill
    may lose it. Not together with durable.
    full_jvm: Cassandra's Java has 1 GB of heap and compiles as far as it can, as in production: slow at first,
    and after some minutes a read takes a fraction of the processor.
    cassandra_at, valkey_at: addresses of engines that run already; then none of that kind is started.
    """

    name: str = "default"
    nodes: int = 1
    replicas: bool = False
    durable: bool = True
    throwaway: bool = False
    full_jvm: bool = False
    # Failover begins after this long; 2 s instead of 1 s, as a busy laptop pauses processes for a second.
    node_timeout_ms: int = 2000
    cassandra_at: tuple[Address, ...] = ()
    valkey_at: tuple[Address, ...] = ()

    def __post_init__(self) -> None:
        if self.nodes not in (1, 3):
            raise LocalClusterError(f"A stack has 1 or 3 Cassandra nodes, not {self.nodes}.")
        if self.durable and self.throwaway:
            raise LocalClusterError("A throwaway stack may lose its schema when killed: it cannot be durable too.")

    @property
    def valkey_count(self) -> int:
        return 2 * PRIMARIES if self.replicas else PRIMARIES


@dataclass(frozen=True, slots=True)
class Remembered:
    """stack.json: what must be the same again when a stack with data is started once more."""

    nodes: int
    cql_port: int
    storage_port: int
    valkey_ports: tuple[int, ...]


def load(folder: Path) -> Remembered | None:
    found = read_json(folder / "stack.json")
    return Remembered(**{**found, "valkey_ports": tuple(found["valkey_ports"])}) if found else None


def save(folder: Path, remembered: Remembered) -> None:
    write_json(folder / "stack.json", asdict(remembered))


def plan_ports(
    spec: StackSpec,
    before: Remembered | None,
    rng: random.Random,
    free: Callable[[int, Collection[str]], bool] = ports.is_free,
) -> Remembered:
    """The remembered ports where they are still free, new ones where they can change.

    All ports can change but one: the nodes of a ring with data know each other by address and storage port.
    Raises StackMismatch or PortTaken.
    """
    if before and before.nodes != spec.nodes:
        raise StackMismatch(
            f"The stack '{spec.name}' holds the data of {_nodes(before.nodes)}, and {_nodes(spec.nodes)} "
            f"are asked for: use another --name, or `rookery dev wipe --name {spec.name}` first."
        )
    hosts = ring_hosts(spec.nodes)
    wanted = (before.cql_port, before.storage_port) if before else ()
    if before and spec.nodes > 1 and not free(before.storage_port, hosts):
        raise PortTaken(
            f"Port {before.storage_port}, over which the nodes of '{spec.name}' know each other, is taken by another "
            f"program on one of {', '.join(hosts)}. Stop that program, or `rookery dev wipe --name {spec.name}`."
        )
    kept = [port for port in wanted if free(port, hosts)]
    remembered_valkey = before.valkey_ports if before else ()
    valkey = [
        port
        for port in remembered_valkey
        if free(port, ("127.0.0.1",)) and free(port + ports.BUS_OFFSET, ("127.0.0.1",))
    ][: spec.valkey_count]
    avoid = {*wanted, *remembered_valkey}
    ring = iter(ports.choose(2 - len(kept), hosts=hosts, avoid=avoid, rng=rng, free=free))
    cql, storage = (port if port in kept else next(ring) for port in wanted or (0, 0))
    avoid |= {cql, storage}
    more = ports.choose(spec.valkey_count - len(valkey), bus=True, avoid=avoid, rng=rng, free=free)
    return Remembered(spec.nodes, cql, storage, (*valkey, *more))


def _nodes(count: int) -> str:
    return "one node" if count == 1 else f"{count} nodes"


@dataclass(frozen=True, slots=True)
class Running:
    """running.json, as the keeper writes it. Only what is really the same process counts."""

    keeper: ProcessRef | None
    engines: Mapping[str, ProcessRef]


def running(folder: Path) -> Running:
    """What of a stack runs now. After a kill -9 of everything, or a reboot, the file is there and this is empty."""
    found: dict[str, Any] = read_json(folder / "running.json") or {"boot": "", "keeper": None, "engines": {}}

    def alive(pair: list[int] | None) -> ProcessRef | None:
        process = ProcessRef(pair[0], pair[1], found["boot"]) if pair else None
        return process if process and processes.is_alive(process) else None

    engines = {name: process for name, pair in found["engines"].items() if (process := alive(pair))}
    return Running(alive(found["keeper"]), engines)


def is_kept(folder: Path) -> bool:
    """Whether a keeper holds the stack: the lock ends with its holder, however that ends."""
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
