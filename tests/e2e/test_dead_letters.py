"""An event that no worker can read, on real engines: pages say so until an operator has seen to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from rookery import Client
from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.events import Event, EventKind
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import outbox
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from tests.e2e.conftest import Running
from tests.support.readers import now_ms
from tests.support.real_run import await_claim
from tests.support.town import eventually

CALL_S = 10.0
WORKER = 1021
"""A worker id that no server takes: they begin with the lowest."""


async def unreadable(running: Running, subject: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Its id: as a server of a newer release would write it."""
    host, port = running.cassandra
    settings = CassandraSettings((host,), port, running.keyspace)
    store = await CassandraStore.open(settings, Metrics(), SystemClock())
    event = Event(ids.compose(now_ms(), WORKER, 0), EventKind.POST, subject, 1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "encode", lambda event: b"\xff")
        await store.append(event)
    await store.close()
    return event.id


def command(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "rookery_server", "--target", running.server.target, "admin", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


async def test_claims_stop_before_what_nobody_can_read_and_go_on_when_it_is_released(
    client: Client, running: Running, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = (await client.create_user(f"{unique}a", timeout_s=CALL_S)).user.id
    reader = (await client.create_user(f"{unique}r", timeout_s=CALL_S)).user.id
    home = client.acting_as(reader)
    await home.follow(author, timeout_s=CALL_S)
    await home.home_page(timeout_s=CALL_S)
    letter = await unreadable(running, author, monkeypatch)
    post = (await client.acting_as(author).create_tweet("behind it", timeout_s=CALL_S)).tweet.id

    async def waits() -> bool:
        info = (await home.home_page(timeout_s=CALL_S)).info
        assert info.complete_through.ToMilliseconds() < ids.time_ms(letter)
        return info.degraded

    await eventually(waits)
    page = await home.home_page(timeout_s=CALL_S)
    assert post in [tweet.id for tweet in page.tweets], "its neighbours go on"
    listed = await asyncio.to_thread(command, running, "outbox")
    assert (listed.returncode, str(letter) in listed.stdout, "waits" in listed.stdout) == (0, True, True), listed
    unknown = await asyncio.to_thread(command, running, "release", "7")
    assert (unknown.returncode, "no dead letter 7" in unknown.stderr) == (4, True), unknown
    released = await asyncio.to_thread(command, running, "release", str(letter))
    assert (released.returncode, "released 1" in released.stdout) == (0, True), released
    await await_claim(home, now_ms())
    assert not (await home.home_page(timeout_s=CALL_S)).info.degraded
