"""The local cluster: Cassandra nodes and a Valkey cluster as one thing that goes up and down."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from rookery_server.dev import cassandra, cql, discovery, places, processes, state, valkey
from rookery_server.dev.errors import LocalClusterError, NodeSilent, PortTaken, StackBusy
from rookery_server.dev.keeper import STOP_GRACE_SECONDS
from rookery_server.dev.keeping import KeeperLink
from rookery_server.dev.memory import require_megabytes
from rookery_server.dev.narration import Narrator, Silent
from rookery_server.dev.node import Node, ValkeyNode
from rookery_server.dev.processes import ProcessRef
from rookery_server.dev.state import Address, Remembered, StackSpec
from rookery_server.dev.status import StackStatus, stack_status

# 2-12 s are usual on two busy cores; a minute and a half is for eight people sharing them.
READY_SECONDS = 90.0
_PORT_TRIES = 3  # between finding a port free and the engine taking it, another program may be faster
_LOG_LIMIT_BYTES = 8_000_000  # a log grows over runs; one older part is kept


class Stack:
    """One stack in one folder. `with Stack(spec) as stack:` is up inside and down after; `down` may be called twice.

    All methods block. The engines die with this process unless `detach` was called.
    """

    def __init__(
        self,
        spec: StackSpec | None = None,
        *,
        folder: Path | None = None,
        narrator: Narrator | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.spec = spec or StackSpec()
        self.folder = folder or places.stack_folder(self.spec.name, environ)
        self.cassandra: tuple[Node, ...] = ()
        self.valkey: tuple[ValkeyNode, ...] = ()
        self.beside: tuple[Node, ...] = ()
        self._narrator = narrator or Silent()
        self._environ = environ
        self._link: KeeperLink | None = None

    @property
    def cassandra_contact_points(self) -> tuple[str, ...]:
        return tuple(host for host, _ in self._cassandra_addresses())

    @property
    def cassandra_port(self) -> int:
        """The CQL port, the same on all nodes."""
        return self._cassandra_addresses()[0][1]

    @property
    def valkey_nodes(self) -> tuple[Address, ...]:
        """The primaries first, then their replicas (until a failover says otherwise)."""
        return self.spec.valkey_at or tuple((node.host, node.port) for node in self.valkey)

    def _cassandra_addresses(self) -> tuple[Address, ...]:
        addresses = self.spec.cassandra_at or tuple((node.host, node.port) for node in self.cassandra)
        if not addresses:
            raise LocalClusterError(f"The stack '{self.spec.name}' is not up.")
        return addresses

    def __enter__(self) -> "Stack":
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    def up(self) -> None:
        """Start everything and return when every node is ready. Raises a LocalClusterError; then nothing is left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for tries_left in reversed(range(_PORT_TRIES)):
                try:
                    self._up_once()
                    return
                except PortTaken:
                    self._let_go()
                    if not tries_left:
                        raise
        except StackBusy:
            raise  # somebody else's engines
        except BaseException:
            self.down()
            raise

    def _up_once(self) -> None:
        self._clear_leftovers()
        spec = self.spec
        if spec.cassandra_at and spec.valkey_at:
            return
        discovery.require_linux()
        a_node = cassandra.MEGABYTES_PER_FULL_NODE if spec.full_jvm else cassandra.MEGABYTES_PER_NODE
        require_megabytes(
            (0 if spec.cassandra_at else spec.nodes * a_node)
            + (0 if spec.valkey_at else spec.valkey_count * valkey.MEGABYTES_PER_NODE)
        )
        valkey_engine = None if spec.valkey_at else discovery.find_valkey(self._environ)
        cassandra_engine = None if spec.cassandra_at else discovery.find_cassandra(self._narrator, self._environ)
        plan = state.plan_ports(spec, state.load(self.folder), random.Random())
        self._link = KeeperLink(self.folder)
        state.save(self.folder, plan)
        deadline = time.monotonic() + READY_SECONDS
        if cassandra_engine:
            self._narrator.say(f"Cassandra: {cassandra_engine.origin}")
            self._start_cassandra(cassandra_engine, plan, self._link)
        if valkey_engine:
            self._narrator.say(f"Valkey: {valkey_engine.origin}")
            self._start_valkey(valkey_engine, plan, self._link, deadline)
        self._wait_for_ring(deadline)

    def _start_cassandra(self, engine: discovery.CassandraEngine, plan: Remembered, link: KeeperLink) -> None:
        spec = self.spec
        ring = cassandra.Ring(
            spec.name, plan.nodes, plan.cql_port, plan.storage_port, durable=spec.durable, throwaway=spec.throwaway,
            full_jvm=spec.full_jvm,
        )  # fmt: skip
        archive_flags = engine.archive.flags(self._narrator)
        self.cassandra = tuple(
            self._cassandra_node(engine, ring, index, link, archive_flags if index == 0 else None)
            for index in range(ring.nodes)
        )
        for node in self.cassandra:  # all at once: a staggered start gains nothing
            node.start()

    def _cassandra_node(
        self,
        engine: discovery.CassandraEngine,
        ring: cassandra.Ring,
        index: int,
        link: KeeperLink,
        first_flags: list[str] | None,
    ) -> Node:
        name, host = f"cassandra-{index + 1}", ring.hosts[index]
        folder, log = self.folder / name, self._log(name)
        flags = first_flags or engine.archive.usable_flags()

        def launch() -> ProcessRef:
            nonlocal flags
            arguments = cassandra.prepare(ring, index, folder, engine.jars, flags)
            flags = engine.archive.usable_flags()  # classes are recorded by the first start only
            return link.start(name, [str(engine.java.binary), *arguments], folder, log)

        return Node(name, host, ring.cql_port, log, launch=launch, answers=lambda: cql.answers(host, ring.cql_port))

    def _start_valkey(
        self, engine: discovery.ValkeyEngine, plan: Remembered, link: KeeperLink, deadline: float
    ) -> None:
        # Each folder is bound to its port by name, so a node whose port had to change starts afresh.
        folders = [self.folder / f"valkey-{port}" for port in plan.valkey_ports]
        same = {folder.name for folder in folders} == self._valkey_folders()
        formed = same and all(valkey.has_formed(folder, len(folders)) for folder in folders)
        if not formed:
            self._remove_valkey_folders()
        self.valkey = tuple(self._valkey_node(engine, folder, link) for folder in folders)
        for node in self.valkey:
            node.start()
        for node in self.valkey:
            node.wait_ready(deadline)
        if not formed:
            valkey.form_cluster(plan.valkey_ports, deadline)
        self.wait_valkey_whole(deadline)

    def _valkey_node(self, engine: discovery.ValkeyEngine, folder: Path, link: KeeperLink) -> ValkeyNode:
        folder.mkdir(exist_ok=True)
        port, log = int(folder.name.removeprefix("valkey-")), self._log(folder.name)
        argv = [str(engine.binary), *valkey.server_flags(port, self.spec.node_timeout_ms)]
        return ValkeyNode(
            folder.name,
            "127.0.0.1",
            port,
            log,
            launch=lambda: link.start(folder.name, argv, folder, log),
            answers=lambda: valkey.answers(port),
        )

    def _valkey_folders(self) -> set[str]:
        return {path.name for path in self.folder.glob("valkey-*")}

    def _remove_valkey_folders(self) -> None:
        for name in self._valkey_folders():
            shutil.rmtree(self.folder / name)

    def wait_valkey_whole(self, deadline: float) -> None:
        """Until every Valkey node sees the whole cluster (`deadline`: time.monotonic()). Raises NodeSilent."""
        ports = [node.port for node in self.valkey]
        while not valkey.whole(ports):
            if time.monotonic() >= deadline:
                raise NodeSilent("The Valkey nodes run, but do not form a cluster.", processes.tail(self.valkey[0].log))
            time.sleep(0.05)

    def _wait_for_ring(self, deadline: float) -> None:
        for node in self.cassandra:
            node.wait_ready(deadline)
        for node in self.cassandra:
            while not _knows_peers(node, len(self.cassandra) - 1):
                if time.monotonic() >= deadline:
                    raise NodeSilent(f"{node.name} answers, but does not know its peers.", processes.tail(node.log))
                time.sleep(0.1)

    def _log(self, name: str) -> Path:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{name}.log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(logs / f"{name}.log.1")
        return log

    def start_beside(self, name: str, argv: list[str], *, host: str, port: int, answers: Callable[[], bool]) -> Node:
        """Start something that uses the engines (a server, a worker) under the same keeper; wait until it `answers`.

        It is stopped before the engines, dies with them if everything is killed, and logs beside them.
        Raises NodeSilent.
        """
        link = self._link = self._link or KeeperLink(self.folder)
        log = self._log(name)
        node = Node(
            name,
            host,
            port,
            log,
            launch=lambda: link.start(name, argv, self.folder, log, beside=True),
            answers=answers,
        )
        node.start()
        node.wait_ready(time.monotonic() + READY_SECONDS)
        self.beside = (*self.beside, node)
        return node

    def detach(self) -> None:
        """Let the stack live on without this process; `down` of any later Stack of the same folder stops it."""
        if self._link is not None:
            self._link.detach()
            self._link = None

    def down(self) -> None:
        """Stop everything and return when it is gone; a throwaway stack's folder goes too. Data of others stays."""
        self._let_go()
        keeper = state.running(self.folder).keeper
        if keeper is not None:
            processes.send(keeper, signal.SIGTERM)
            if not processes.wait_gone(keeper, 2 * STOP_GRACE_SECONDS + 5.0):  # its own graces, and a little
                processes.send(keeper, signal.SIGKILL)
        self._end_engines()
        if self.spec.throwaway:
            shutil.rmtree(self.folder, ignore_errors=True)

    def status(self) -> StackStatus:
        return stack_status(self.spec.name, self.folder)

    def wipe(self) -> None:
        """Stop everything and delete what the stack keeps."""
        self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _let_go(self) -> None:
        if self._link is not None:
            self._link.stop()
            self._link = None
        self.cassandra, self.valkey, self.beside = (), (), ()

    def _clear_leftovers(self) -> None:
        """Refuse a stack that is up; forget one that was killed."""
        deadline = time.monotonic() + 1.0  # a keeper that was just killed holds the lock some milliseconds longer
        while state.is_kept(self.folder):
            if time.monotonic() >= deadline:
                name = self.spec.name
                raise StackBusy(f"The stack '{name}' is up already: see `rookery dev status --name {name}`.")
            time.sleep(0.02)
        self._end_engines()

    def _end_engines(self) -> None:
        # Engines die with their keeper, but a JVM needs a moment for it, and its ports are wanted again.
        for process in state.running(self.folder).engines.values():
            processes.send(process, signal.SIGKILL)
            processes.wait_gone(process, 10.0)


def _knows_peers(node: Node, peers: int) -> bool:
    """Whether a node has the tokens of all others; until then a driver that asks it routes wrongly."""
    try:
        rows = cql.query(node.host, node.port, "SELECT tokens FROM system.peers_v2")
    except (OSError, EOFError, cql.CqlError):
        return False
    return sum(1 for (tokens,) in rows if tokens is not None) >= peers
