"""Free ports, found by binding to them."""

import random
import socket
from collections.abc import Callable, Collection, Iterable

from rookery_server.dev.errors import PortTaken

LOWEST = 10_000  # below live the ports people choose by hand
BUS_OFFSET = 10_000  # a Valkey cluster bus listens on port + 10000
# No port is the bus port of another then, and all bus ports stay below 32768, where Linux begins to hand out ports to
# outgoing connections.
HIGHEST = LOWEST + BUS_OFFSET - 1


def is_free(port: int, hosts: Iterable[str] = ("127.0.0.1",)) -> bool:
    """Whether a server could listen on `port` at every one of `hosts` now.

    SO_REUSEADDR as the servers set it: closed connections still waiting do not count, listeners do.
    """
    for host in hosts:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def choose(
    count: int,
    *,
    hosts: Collection[str] = ("127.0.0.1",),
    bus: bool = False,
    avoid: Collection[int] = (),
    rng: random.Random,
    free: Callable[[int, Collection[str]], bool] = is_free,
) -> tuple[int, ...]:
    """`count` different free ports, not in `avoid`; with `bus` the port + 10000 is free too.

    Drawn at random: two stacks that start in the same second would otherwise find the same first free port.
    Raises PortTaken when the range is exhausted.
    """
    found: list[int] = []
    for port in rng.sample(range(LOWEST, HIGHEST + 1), HIGHEST + 1 - LOWEST):
        if len(found) == count:
            break
        if port not in avoid and free(port, hosts) and (not bus or free(port + BUS_OFFSET, hosts)):
            found.append(port)
    if len(found) < count:
        raise PortTaken(f"Fewer than {count} free ports between {LOWEST} and {HIGHEST} on {', '.join(hosts)}.")
    return tuple(found)
