"""A whole installation of real processes for the run: one server, one worker, on the shared engines."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from rookery import Client
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.stack import Stack


@dataclass(frozen=True, slots=True)
class Running:
    installation: Installation
    server: Service
    worker: Service


@pytest.fixture(scope="session")
def running(stack: Stack) -> Iterator[Running]:
    """A keyspace of its own, so that several runs can share engines that are kept running."""
    installation = Installation(stack, keyspace=f"e2e_{secrets.token_hex(4)}")
    installation.migrate()
    running = Running(installation, installation.start_server("e2e-serve"), installation.start_worker("e2e-work"))
    yield running
    running.server.node.stop()
    running.worker.node.stop()


@pytest.fixture
async def client(running: Running) -> AsyncIterator[Client]:
    async with Client(running.server.target, connections=4) as client:
        yield client


@pytest.fixture
def unique() -> str:
    """A prefix for usernames, new for each test: accounts are for ever."""
    return "t" + secrets.token_hex(4)
