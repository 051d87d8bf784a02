"""Opening, leaving alone and opening again, with greetings that are made up."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from rookery_server.cache.redis import port as module
from rookery_server.cache.redis.connection import Connection
from rookery_server.cache.redis.errors import Disconnected, NotSent, TimedOut
from rookery_server.cache.redis.handshake import Greeting, Identity
from rookery_server.cache.redis.port import Port
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.cache.redis.topology import Directory, Shard, Topology

A, B = Address("10.0.0.1", 7000), Address("10.0.0.2", 7000)


class Map(Directory):
    """A map that is never due."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(settings, self._nobody, random.Random(1))
        self.doubts: list[Address | None] = []
        self.show(A)

    @staticmethod
    async def _nobody(address: Address) -> Connection:
        raise AssertionError("nobody is asked")

    def show(self, primary: Address) -> None:
        self.current = Topology.of([Shard("s1", primary, (), ((0, 16383),))])

    @property
    def due(self) -> bool:
        return False

    def doubt(self, address: Address | None = None) -> None:
        self.doubts.append(address)


class Dialler:
    """Takes the place of `dial`: notes what it was asked, answers as told."""

    def __init__(self) -> None:
        self.dialled: list[tuple[Address, Identity | None]] = []
        self.fails: set[Address] = set()
        self.answering = asyncio.Event()
        self.answering.set()

    async def __call__(self, address: Address, settings: RedisSettings, **more: Any) -> Greeting:
        self.dialled.append((address, more["predecessor"]))
        await self.answering.wait()
        if address in self.fails:
            raise TimedOut(str(address))
        return Greeting(Connection(1.0, 100), Identity(b"%d" % len(self.dialled), b"me"))


@pytest.fixture
def dialler(monkeypatch: pytest.MonkeyPatch) -> Dialler:
    made = Dialler()
    monkeypatch.setattr(module, "dial", made)
    return made


def opened(**settings: Any) -> tuple[Port, Map]:
    told = RedisSettings((A,), **settings)
    directory = Map(told)
    return Port("s1", told, directory, (), random.Random(1)), directory


async def test_one_attempt_for_all_who_wait(dialler: Dialler) -> None:
    port, _ = opened()
    dialler.answering.clear()
    waiting = [asyncio.create_task(port.open()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    dialler.answering.set()
    first, second = await asyncio.gather(*waiting[1:])
    assert first == second
    assert first[0] == port.link
    assert len(dialler.dialled) == 1
    await port.close()


async def test_the_next_connection_knows_its_predecessor_at_that_address(dialler: Dialler) -> None:
    port, directory = opened()
    link, connection = await port.open()
    connection.lose(Disconnected("gone"))
    assert (port.link, port.over(link)) == (None, None)
    assert directory.doubts == [A]
    again, _ = await port.open()
    assert again.generation > link.generation
    assert port.over(again) is not None
    port.follow(A)
    assert port.link == again
    # Promoted elsewhere: the link ends though the old primary still answers, and nobody is to be killed there.
    directory.show(B)
    port.follow(B)
    assert port.link is None
    await port.open()
    assert dialler.dialled == [(A, None), (A, Identity(b"1", b"me")), (B, None)]
    await port.close()


async def test_after_a_failure_it_is_left_alone(dialler: Dialler) -> None:
    port, directory = opened(backoff_s=30.0, backoff_max_s=30.0)
    dialler.fails.add(A)
    with pytest.raises(TimedOut):
        await port.open()
    assert directory.doubts == [A]
    for _ in range(3):
        with pytest.raises(NotSent):
            await port.open()
    assert len(dialler.dialled) == 1
    # Another primary is another matter.
    directory.show(B)
    await port.open()
    assert [address for address, _ in dialler.dialled] == [A, B]
    await port.close()


async def test_the_pause_ends(dialler: Dialler) -> None:
    port, _ = opened(backoff_s=0.001, backoff_max_s=0.002)
    dialler.fails.add(A)
    for _ in range(20):
        with pytest.raises((TimedOut, NotSent)):
            await port.open()
        await asyncio.sleep(0.003)
    assert len(dialler.dialled) == 20
    dialler.fails.clear()
    assert (await port.open())[0].node == "s1"
    await port.close()


async def test_a_node_that_left_the_map_is_not_dialled(dialler: Dialler) -> None:
    port, directory = opened()
    directory.current = Topology.of([Shard("s2", A, (), ((0, 16383),))])
    with pytest.raises(NotSent):
        await port.open()
    assert dialler.dialled == []


async def test_closing_ends_those_who_wait(dialler: Dialler) -> None:
    port, _ = opened()
    dialler.answering.clear()
    waiting = asyncio.create_task(port.open())
    await asyncio.sleep(0)
    await port.close()
    with pytest.raises(NotSent):
        await waiting
    with pytest.raises(NotSent):
        await port.open()
