"""The real engines for tests.

`stack` is one Cassandra node and three Valkey primaries for the whole run, started when the first test asks for it,
stopped after the last whatever happened. ROOKERY_TEST_CASSANDRA and ROOKERY_TEST_VALKEY (HOST:PORT,…) name engines that
run already, to be used instead: `rookery dev up --detach --fast` once, then many short test runs.

`special_stacks` starts others, for tests that hurt them: three nodes, replicas, durable ones. Two cores do not carry
two Cassandras well, so those tests come last and the shared stack is stopped before the first of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from rookery_server.dev.stack import Stack
from rookery_server.dev.state import Address, StackSpec, parse_addresses

SpecialStacks = Callable[[StackSpec], AbstractContextManager[Stack]]


class Engines:
    """Owns what this test run starts: at most one Cassandra ring at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared: Stack | None = None
        self._special = 0

    def shared(self) -> Stack:
        if self._shared is None:
            spec = StackSpec(
                name="tests",
                durable=False,
                throwaway=True,
                cassandra_at=parse_addresses(os.environ.get("ROOKERY_TEST_CASSANDRA", "")),
                valkey_at=parse_addresses(os.environ.get("ROOKERY_TEST_VALKEY", "")),
            )
            self._shared = Stack(spec, folder=self._folder / "shared")
            self._shared.up()
        return self._shared

    @contextmanager
    def special(self, spec: StackSpec) -> Iterator[Stack]:
        """A stack of its own, fresh, gone afterwards. Stops the shared one, if this run started it."""
        self.stop()
        self._special += 1
        stack = Stack(spec, folder=self._folder / f"special-{self._special}")
        try:
            stack.up()
            yield stack
        finally:
            stack.down()

    def stop(self) -> None:
        if self._shared is not None:
            self._shared.down()
            self._shared = None


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
