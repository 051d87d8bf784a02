"""Valkey nodes in cluster mode: their flags, and forming one cluster of them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

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


def _ask(client: "redis.Redis", *command: str | int) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


def role(port: int) -> list[Any]:
    """What a node says of itself: `master …`, or `slave, host, port, state …`.  Raises what redis raises."""
    with connected(port) as client:
        return list(_ask(client, "ROLE"))


def answers(port: int) -> bool:
    try:
        with connected(port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def slot_ranges(primaries: int) -> list[tuple[int, int]]:
    """Even shares of the slots, first and last of each."""
    edges = [index * SLOTS // primaries for index in range(primaries + 1)]
    return [(first, last - 1) for first, last in pairwise(edges)]


def form_cluster(ports: Sequence[int], deadline: float) -> None:
    """Make one cluster of fresh nodes: the first three get the slots, each further one follows a primary in turn.

    `deadline` is a time.monotonic() value. Raises NodeSilent when a node refuses or never learns of another.
    """
    try:
        _join(ports, deadline)
    except redis.RedisError as error:
        raise NodeSilent(f"The Valkey nodes run, but do not become a cluster: {error}", "") from error


def _join(ports: Sequence[int], deadline: float) -> None:
    primaries, replicas = ports[:PRIMARIES], ports[PRIMARIES:]
    for epoch, port in enumerate(ports, start=1):
        with connected(port) as client:
            # Different numbers, or the nodes spend their first seconds settling who is who.
            _ask(client, "CLUSTER SET-CONFIG-EPOCH", epoch)
    for port, (first, last) in zip(primaries, slot_ranges(PRIMARIES), strict=True):
        with connected(port) as client:
            _ask(client, "CLUSTER ADDSLOTSRANGE", first, last)
    with connected(ports[0]) as client:
        for port in ports[1:]:
            _ask(client, "CLUSTER MEET", "127.0.0.1", port)
    for index, port in enumerate(replicas):
        _follow(port, primaries[index % PRIMARIES], deadline)


def _follow(replica: int, primary: int, deadline: float) -> None:
    with connected(primary) as client:
        identity = _ask(client, "CLUSTER MYID")
    with connected(replica) as client:
        while True:
            try:
                _ask(client, "CLUSTER REPLICATE", identity)
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
            info = _ask(client, "CLUSTER INFO")  # a dict of strings
    except redis.RedisError:
        return False
    return (
        info["cluster_state"] == "ok"
        and int(info["cluster_slots_ok"]) == SLOTS
        and int(info["cluster_known_nodes"]) == nodes
    )


def has_formed(folder: Path, nodes: int) -> bool:
    """Whether what a node left behind is a whole cluster of so many nodes, to which it will find back by itself.

    nodes.conf has a line per known node: id, address, flags, primary, ping, pong, epoch, link, then slots.
    """
    try:
        lines = [line.split() for line in (folder / "nodes.conf").read_text().splitlines()]
    except FileNotFoundError:
        return False
    known = [fields for fields in lines if fields and fields[0] != "vars"]
    slots = sum(_width(part) for fields in known for part in fields[8:])
    return len(known) == nodes and slots == SLOTS


def _width(slots: str) -> int:
    """How many slots `5461-10922` or `7` are; those on their way to another node, in brackets, count where they are."""
    if slots.startswith("["):
        return 0
    first, _, last = slots.partition("-")
    return int(last or first) - int(first) + 1
