"""One connection, over a transport that only takes notes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.connection import Connection, is_error
from rookery_server.cache.redis.errors import Disconnected, LinkError, Malformed, NotSent, Redirected, TimedOut
from rookery_server.domain.errors import CacheUnavailable, Outcome

PING = pack("PING")


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


def connected(timeout_s: float = 5.0, queue: int = 1000) -> tuple[Connection, Wire]:
    connection, wire = Connection(timeout_s, queue), Wire()
    connection.connection_made(wire)
    return connection, wire


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_one_turn_is_one_write() -> None:
    connection, wire = connected()
    first, second = connection.send(PING, 1), connection.send(PING + PING, 2)
    assert wire.writes == []
    await turn()
    assert wire.writes == [PING * 3]
    connection.data_received(b"+A\r\n+B")
    connection.data_received(b"\r\n$1\r\nC\r\n")
    assert (await first, await second) == ([b"A"], [b"B", b"C"])
    assert connection.unanswered == 0
    connection.lose(NotSent("done"))


async def test_what_was_packed_before_the_process_stood_still_never_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that was young when it was packed would land on top of entries far newer than itself."""
    connection, wire = connected()
    answer = connection.send(PING, 1)
    stopped = time.monotonic() + 3
    monkeypatch.setattr(time, "monotonic", lambda: stopped)
    await turn()
    assert wire.writes == []
    with pytest.raises(TimedOut):
        await answer
    assert wire.aborted


async def test_an_error_reply_stands_in_its_place() -> None:
    connection, _ = connected()
    answer = connection.send(PING * 3, 3)
    connection.data_received(b"+OK\r\n-OOM command not allowed\r\n:3\r\n")
    first, second, third = await answer
    assert (first, third) == (b"OK", 3)
    assert is_error(second)
    assert connection.error is None
    connection.lose(NotSent("done"))


@pytest.mark.parametrize(
    "reply",
    [
        b"-MOVED 7 127.0.0.1:7001\r\n",
        b"-ASK 7 127.0.0.1:7001\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-LOADING Valkey is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    ],
)
async def test_a_node_that_is_not_the_primary_ends_it(reply: bytes) -> None:
    connection, wire = connected()
    answers = [connection.send(PING, 1) for _ in range(3)]
    connection.data_received(b"+OK\r\n" + reply + b"+OK\r\n")
    assert await answers[0] == [b"OK"]
    for answer in answers[1:]:
        with pytest.raises(Redirected):
            await answer
    assert wire.aborted
    with pytest.raises(NotSent):
        connection.send(PING, 1)


@pytest.mark.parametrize("noise", [b"?\r\n", b"+an answer nobody asked for\r\n"])
async def test_noise_ends_it(noise: bytes) -> None:
    connection, _ = connected()
    connection.data_received(noise)
    assert isinstance(connection.error, Malformed)


async def test_a_late_reply_ends_it_for_all() -> None:
    connection, wire = connected(timeout_s=0.02)
    lost: list[LinkError] = []
    connection.on_lost = lost.append
    answers = [connection.send(PING, 1) for _ in range(2)]
    for answer in answers:
        with pytest.raises(TimedOut) as caught:
            await answer
        assert isinstance(caught.value, CacheUnavailable)
        assert caught.value.outcome is Outcome.UNKNOWN
    assert wire.aborted
    assert [type(error) for error in lost] == [TimedOut]
    connection.data_received(b"+too late\r\n")


async def test_patience_is_for_what_waits_in_the_server() -> None:
    connection, _ = connected(timeout_s=0.02)
    patient = connection.send(PING, 1, patience_s=5.0)
    done, _ = await asyncio.wait([patient], timeout=0.1)
    assert not done
    connection.data_received(b"+OK\r\n")
    assert await patient == [b"OK"]
    connection.lose(NotSent("done"))


async def test_a_held_up_loop_is_not_a_slow_node() -> None:
    connection, _ = connected(timeout_s=0.02)
    answer = connection.send(PING, 1)
    await turn()
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.05
    while loop.time() < until:
        pass  # the loop is busy with something else while the reply arrives
    loop.call_soon(connection.data_received, b"+OK\r\n")
    assert await answer == [b"OK"]
    connection.lose(NotSent("done"))


async def test_the_queue_is_bounded() -> None:
    connection, _ = connected(queue=3)
    first = connection.send(PING * 2, 2)
    with pytest.raises(NotSent) as caught:
        connection.send(PING * 2, 2)
    assert caught.value.outcome is Outcome.NONE
    connection.data_received(b"+A\r\n+B\r\n")
    assert await first == [b"A", b"B"]
    second = connection.send(PING * 3, 3)
    connection.lose(NotSent("done"))
    with pytest.raises(NotSent):
        await second


async def test_an_end_is_told_once_and_nothing_leaves_afterwards() -> None:
    connection, wire = connected()
    lost: list[LinkError] = []
    connection.on_lost = lost.append
    answer = connection.send(PING, 1)
    connection.connection_lost(None)
    connection.lose(NotSent("again"))
    await turn()
    assert wire.writes == []
    assert [type(error) for error in lost] == [Disconnected]
    with pytest.raises(Disconnected):
        await answer


async def test_nobody_waits_for_what_was_cast_or_cancelled() -> None:
    connection, _ = connected()
    connection.cast(PING)
    cancelled, kept = connection.send(PING, 1), connection.send(PING, 1)
    cancelled.cancel()
    connection.data_received(b"+A\r\n+B\r\n+C\r\n")
    assert await kept == [b"C"]
    connection.lose(NotSent("done"))


async def test_pushes_are_not_replies() -> None:
    connection, _ = connected()
    heard: list[list[Any]] = []
    connection.on_push = heard.append
    answer = connection.send(PING, 1)
    connection.data_received(b">3\r\n$8\r\nsmessage\r\n$8\r\nbell:{1}\r\n$1\r\nx\r\n+PONG\r\n")
    assert await answer == [b"PONG"]
    assert heard == [[b"smessage", b"bell:{1}", b"x"]]
    connection.lose(NotSent("done"))


async def test_the_timer_gets_seconds() -> None:
    connection, _ = connected()
    seconds: list[float] = []
    answer = connection.send(PING, 1, seconds.append)
    connection.data_received(b"+OK\r\n")
    await answer
    assert len(seconds) == 1
    assert 0 <= seconds[0] < 1
    connection.lose(NotSent("done"))
