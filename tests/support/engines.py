"""The real engines for tests.

`stack` is one Cassandra node and three Valkey primaries for the whole run, started when the first test asks for it,
stopped after the last whatever happened. ROOKERY_TEST_CASSANDRA and ROOKERY_TEST_VALKEY (HOST:PORT,…) name engines that
run already, to be used instead: `rookery dev up --detach --fast` once, then many short test runs.

`special_stacks` starts others, for tests that hurt them: three nodes, replicas, durable ones. Two cores do not carry
two Cassandras well, so those tests come last and the shared stack is stopped before the first of them.

`own_caches` starts three Valkey primaries over the shared Cassandra node, for installations that have it to themselves
or hurt their cache: workers of two keyspaces must not share a cache.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from rookery_server.dev import ports
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import Address, StackSpec, parse_addresses

SpecialStacks = Callable[[StackSpec], AbstractContextManager[Stack]]
OwnCaches = Callable[[], AbstractContextManager[Stack]]

CASSANDRA, VALKEY = "ROOKERY_TEST_CASSANDRA", "ROOKERY_TEST_VALKEY"
PLACE = "ROOKERY_TEST_PLACE"
"""`1/3`: the second of three test runs side by side, each of which has its own share of the ports: a port that two find
free in the same moment is free for one only."""
NOWHERE: tuple[Address, ...] = (("127.0.0.1", 1),)
"""As if engines of a kind ran elsewhere, for a stack without them: none is started, and none is asked."""


class Engines:
    """Owns what this test run starts: at most one Cassandra ring at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared: Stack | None = None
        self._numbers = itertools.count(1)

    def shared(self) -> Stack:
        if self._shared is None:
            spec = StackSpec(
                name="tests",
                durable=False,
                throwaway=True,
                cassandra_at=parse_addresses(os.environ.get(CASSANDRA, "")),
                valkey_at=parse_addresses(os.environ.get(VALKEY, "")),
            )
            self._shared = Stack(spec, folder=self._folder / "shared")
            self._shared.up()
        return self._shared

    @contextmanager
    def special(self, spec: StackSpec) -> Iterator[Stack]:
        """A stack of its own, fresh, gone afterwards. Stops the shared one, if this run started it."""
        self.stop()
        stack = Stack(spec, folder=self._folder / f"special-{next(self._numbers)}")
        try:
            stack.up()
            yield stack
        finally:
            stack.down()

    @contextmanager
    def own_caches(self) -> Iterator[Stack]:
        """Fresh Valkey primaries over the shared Cassandra node, gone afterwards."""
        at = parse_addresses(os.environ.get(CASSANDRA, "")) or self._cassandra_of(self.shared())
        spec = StackSpec(name="caches", durable=False, throwaway=True, cassandra_at=at)
        with Stack(spec, folder=self._folder / f"caches-{next(self._numbers)}") as stack:
            yield stack

    @staticmethod
    def _cassandra_of(stack: Stack) -> tuple[Address, ...]:
        return tuple((host, stack.cassandra_port) for host in stack.cassandra_contact_points)

    def stop(self) -> None:
        if self._shared is not None:
            self._shared.down()
            self._shared = None


def pytest_configure() -> None:
    ports.LOWEST, ports.HIGHEST = share_of_ports(os.environ.get(PLACE, "0/1"), ports.LOWEST, ports.HIGHEST)


def share_of_ports(place: str, lowest: int, highest: int) -> tuple[int, int]:
    """The lowest and the highest of one test run."""
    number, runs = map(int, place.split("/"))
    share = (highest + 1 - lowest) // runs
    return lowest + number * share, lowest + (number + 1) * share - 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "special_stacks" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    owner = Engines(tmp_path_factory.mktemp("stacks"))
    yield owner
    owner.stop()


@pytest.fixture(scope="session")
def stack(engines: Engines) -> Stack:
    return engines.shared()


@pytest.fixture(scope="session")
def cassandra_address(stack: Stack) -> Address:
    """Host and CQL port of a node."""
    return stack.cassandra_contact_points[0], stack.cassandra_port


@pytest.fixture(scope="session")
def valkey_addresses(stack: Stack) -> tuple[Address, ...]:
    return stack.valkey_nodes


@pytest.fixture(scope="session")
def special_stacks(engines: Engines) -> SpecialStacks:
    """`with special_stacks(StackSpec(nodes=3, replicas=True)) as stack:`, in a test or in a fixture of any scope."""
    return engines.special


@pytest.fixture(scope="session")
def own_caches(engines: Engines) -> OwnCaches:
    """`with own_caches() as stack:`, in a test or in a fixture of any scope."""
    return engines.own_caches
