"""Valkey nodes in cluster mode: their flags, and forming one cluster of them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from rookery_server.dev.errors import NodeSilent

PRIMARIES = 3
SLOTS = 16_384
MEGABYTES_PER_NODE = 30  # idle 7.5 MB; what tests and a sample network put into it comes on top


def server_flags(port: int, node_timeout_ms: int) -> list[str]:
    """For `valkey-server` or `redis-server`, started in the node's own folder."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(node_timeout_ms),
        # One primary down must not silence the other two: the product has to be seen doing well with what is left.
        "cluster-require-full-coverage": "no",
        # Nothing is kept on disk: the cache is rebuilt from Cassandra, and a primary that comes back is empty.
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "volatile-lru",
        "daemonize": "no",
        "repl-diskless-sync-delay": "0",  # default 5 s: wait for more replicas before the first sync
        "shutdown-timeout": "0",  # default 10 s: wait for replicas that lag behind, at a stop
    }
    return [part for key, value in options.items() for part in (f"--{key}", value)]


@contextmanager
def connected(port: int) -> Iterator["redis.Redis"]:
    client = redis.Redis(
        host="127.0.0.1", port=port, protocol=2, socket_timeout=2.0, socket_connect_timeout=1.0, decode_responses=True
    )
    try:
        yield client
    finally:
        client.close()


def answers(port: int) -> bool:
    try:
        with connected(port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def slot_ranges(primaries: int) -> list[tuple[int, int]]:
    """Even shares of the slots, first and last of each."""
    edges = [index * SLOTS // primaries for index in range(primaries + 1)]
    return [(first, last - 1) for first, last in zip(edges, edges[1:], strict=False)]


def form_cluster(ports: Sequence[int], deadline: float) -> None:
    """Make one cluster of fresh nodes: the first three get the slots, each further one follows a primary in turn.

    `deadline` is a time.monotonic() value. Raises NodeSilent when a replica never learns of its primary.
    """
    primaries, replicas = ports[:PRIMARIES], ports[PRIMARIES:]
    for epoch, port in enumerate(ports, start=1):
        with connected(port) as client:
            # Different numbers, or the nodes spend their first seconds settling who is who.
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
    for port, (first, last) in zip(primaries, slot_ranges(PRIMARIES), strict=True):
        with connected(port) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
    with connected(ports[0]) as client:
        for port in ports[1:]:
            client.execute_command("CLUSTER MEET", "127.0.0.1", port)
    for index, port in enumerate(replicas):
        _follow(port, primaries[index % PRIMARIES], deadline)


def _follow(replica: int, primary: int, deadline: float) -> None:
    with connected(primary) as client:
        identity = client.execute_command("CLUSTER MYID")
    with connected(replica) as client:
        while True:
            try:
                client.execute_command("CLUSTER REPLICATE", identity)
                return
            except redis.ResponseError as error:  # "Unknown node" until gossip has brought the news
                if time.monotonic() >= deadline:
                    raise NodeSilent(f"Valkey {replica} never learned of {primary}: {error}", "") from None
            time.sleep(0.05)


def whole(ports: Sequence[int]) -> bool:
    """Whether every node sees the whole cluster: state ok, all slots, all nodes known. Anything less on only one of
    them makes clients fail with "All slots are not covered"."""
    return all(_sees_all(port, len(ports)) for port in ports)


def _sees_all(port: int, nodes: int) -> bool:
    try:
        with connected(port) as client:
            text = client.execute_command("CLUSTER INFO")
    except redis.RedisError:
        return False
    # redis-py parses the reply of CLUSTER INFO into a dict of strings.
    return (
        text["cluster_state"] == "ok"
        and int(text["cluster_slots_ok"]) == SLOTS
        and int(text["cluster_known_nodes"]) == nodes
    )


def has_formed(folder: Path) -> bool:
    """Whether a node's folder says that it belongs to a cluster with slots (it is read at the next start)."""
    try:
        return "connected" in (folder / "nodes.conf").read_text()
    except FileNotFoundError:
        return False
