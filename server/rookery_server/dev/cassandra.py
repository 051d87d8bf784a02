"""One Cassandra node: its cassandra.yaml, its JVM flags, its folder. docs/local-cluster.md says why for each flag."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rookery_server.dev.java import class_path
from rookery_server.dev.records import write_text

# What one node takes, at the most: 512 MB heap, 256 MB direct buffers, code and classes. 350-500 MB were measured.
MEGABYTES_PER_NODE = 700
# 1 GB of heap, and more code.
MEGABYTES_PER_FULL_NODE = 1_600


@dataclass(frozen=True, slots=True)
class Ring:
    """Nodes 127.0.0.1 … 127.0.0.N, all with the same two ports."""

    name: str
    nodes: int
    cql_port: int
    storage_port: int
    durable: bool
    throwaway: bool
    full_jvm: bool

    @property
    def hosts(self) -> tuple[str, ...]:
        return ring_hosts(self.nodes)


def ring_hosts(nodes: int) -> tuple[str, ...]:
    return tuple(f"127.0.0.{n}" for n in range(1, nodes + 1))


def initial_token(index: int, nodes: int) -> int:
    """Evenly spaced over -2^63 … 2^63-1, in the middle of each share (the lowest value is Murmur3's "no token")."""
    return -(2**63) + (2 * index + 1) * 2**64 // (2 * nodes)


def node_yaml(ring: Ring, index: int, folder: Path) -> dict[str, Any]:
    """The content of cassandra.yaml."""
    host = ring.hosts[index]
    seeds = ",".join(f"{seed}:{ring.storage_port}" for seed in ring.hosts)
    sync = (
        {"commitlog_sync": "batch"} if ring.durable else {"commitlog_sync": "periodic", "commitlog_sync_period": "10s"}
    )
    return {
        "cluster_name": ring.name,
        "num_tokens": 1,
        "initial_token": str(initial_token(index, ring.nodes)),
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "listen_address": host,
        "rpc_address": host,
        "native_transport_port": ring.cql_port,
        "storage_port": ring.storage_port,
        # All nodes are seeds: a whole ring restarted with one seed waits 5 s in that node's shadow round.
        "seed_provider": [
            {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": [{"seeds": seeds}]}
        ],
        "auto_bootstrap": False,
        "authenticator": "AllowAllAuthenticator",
        "commitlog_directory": str(folder / "commitlog"),
        "data_file_directories": [str(folder / "data")],
        "saved_caches_directory": str(folder / "saved_caches"),
        "hints_directory": str(folder / "hints"),
        "cdc_raw_directory": str(folder / "cdc_raw"),
        **sync,
        "commitlog_segment_size": "8MiB",
        "commitlog_total_space": "64MiB",
        "memtable_allocation_type": "heap_buffers",
        "memtable_heap_space": "64MiB",
        "file_cache_size": "32MiB",
        "key_cache_size": "8MiB",
        "concurrent_compactors": 1,
        "disk_access_mode": "standard",
        "auto_snapshot": False,
        "paxos_variant": "v2",
    }


def jvm_flags(ring: Ring, folder: Path, archive_flags: Sequence[str]) -> list[str]:
    small, full = ["-Xms96m", "-Xmx512m", "-XX:TieredStopAtLevel=1"], ["-Xms1g", "-Xmx1g", "-Xmn300m"]
    flags = [*(full if ring.full_jvm else small), "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC"]
    flags += ["-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", *archive_flags]
    flags += [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
    flags += [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS]
    properties = {
        "cassandra.config": f"file://{folder / 'cassandra.yaml'}",
        "cassandra.storagedir": str(folder),
        "logback.configurationFile": f"file://{folder / 'logback.xml'}",
        "java.io.tmpdir": str(folder / _UNPACKED),
        **_PROPERTIES,
    }
    if ring.throwaway:
        properties["cassandra.test.flush_local_schema_changes"] = "false"
    return [*flags, *(f"-D{key}={value}" for key, value in properties.items())]


def prepare(ring: Ring, index: int, folder: Path, jars: Sequence[Path], archive_flags: Sequence[str]) -> list[str]:
    """Write the node's files into `folder` (data in it stays) and return the arguments for `java`."""
    shutil.rmtree(folder / _UNPACKED, ignore_errors=True)
    (folder / _UNPACKED).mkdir(parents=True)
    write_text(folder / "cassandra.yaml", json.dumps(node_yaml(ring, index, folder), indent=1) + "\n")
    write_text(folder / "logback.xml", _LOGBACK)
    arguments = [*jvm_flags(ring, folder, archive_flags), "-cp", class_path(jars), _MAIN_CLASS]
    # In a file: 90 jars would hide everything else in a list of processes.
    write_text(folder / "java.args", "".join(f"{_quoted(argument)}\n" for argument in arguments))
    return [f"@{folder / 'java.args'}"]


def _quoted(argument: str) -> str:
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_UNPACKED = "unpacked"
"""Native libraries; a node that was killed leaves them behind."""

_MAIN_CLASS = "org.apache.cassandra.service.CassandraDaemon"

_EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.management/com.sun.jmx.remote.security",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach",
)

_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)

_PROPERTIES = {
    "cassandra-foreground": "yes",
    "java.net.preferIPv4Stack": "true",
    "jdk.attach.allowAttachSelf": "true",
    "io.netty.tryReflectionSetAccessible": "true",
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    # Also the limit of the first contact with a seed: 1 s is too short on a busy machine. Costs nothing here.
    "cassandra.ring_delay_ms": "15000",
    "cassandra.load_ring_state": "true",
    "cassandra.consistent.rangemovement": "false",
    "cassandra.superuser_setup_delay_ms": "0",
    # What Cassandra measures by itself on this JVM, in 1.4 s.
    "cassandra.memtable.row_overhead_size": "181",
    # Together: a stop takes 0.5 s, not 4.5 s.
    "cassandra.shutdown_announce_in_ms": "0",
    "cassandra.test.messagingService.nonGracefulShutdown": "true",
}

_LOGBACK = """\
<configuration scan="false">
  <statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{HH:mm:ss.SSS} %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""
