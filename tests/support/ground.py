"""An installation whose processes may be made to kill themselves, and a small world under watch on it.

Fixtures for test modules that name them: each has an installation of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from rookery import Client
from rookery_server.dev.installation import Installation
from rookery_server.dev.stack import Stack
from tests.support.fail_points import Failing, FailingProcesses
from tests.support.keyspaces import fresh_name
from tests.support.patient import PatientClient
from tests.support.witness import Witness

SETTINGS = {
    "ROOKERY_OUTBOX__SHARDS": "1",  # one lease: whoever works has it
    "ROOKERY_WORK__FOLLOWER_PAGE": "2",  # five followers are three pages
    "ROOKERY_OUTBOX__AUDIT_AGES_S": "6,20,60,120",
}
ENOUGH = 60
"""More awaits than any of these operations has: a count that gets here would never end."""


@dataclass(slots=True)
class Ground:
    """One server and one worker that are well; others are started to fail."""

    stack: Stack
    forks: FailingProcesses
    client: Client
    worker: Failing


@pytest.fixture(scope="module")
def forks(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingProcesses]:
    installation = Installation(own_stack, keyspace=fresh_name(), settings=SETTINGS)
    installation.migrate()
    with FailingProcesses(tmp_path_factory.mktemp("points"), installation.settings) as forks:
        yield forks


@pytest.fixture(scope="module")
async def ground(own_stack: Stack, forks: FailingProcesses) -> AsyncIterator[Ground]:
    server, worker = await forks.server(), await forks.worker()
    # Not before nodes are known and hold W: until then pages are merged from rows, which hides whether anybody works.
    await worker.is_done()
    async with PatientClient(server.target, connections=2) as client:
        yield Ground(own_stack, forks, client, worker)


@pytest.fixture
def witness(ground: Ground, unique: str) -> Witness:
    return Witness(ground.client, unique)


async def author_with_followers(witness: Witness, followers: int) -> int:
    author = await witness.person()
    for _ in range(followers):
        await witness.person(author, watched=True)
    for reader in witness.readers:  # lists that exist are what deliveries go to
        await witness.client.acting_as(reader).home_page()
    return author
