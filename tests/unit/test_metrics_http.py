"""The scrape endpoint, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest

from rookery_server import metrics_http
from rookery_server.metrics import Metrics
from rookery_server.metrics_http import MAX_CONNECTIONS, MAX_REQUEST_BYTES, MetricsServer

HOST = "127.0.0.1"


class Rendering:
    """Counts renders, notes the threads they ran in, and how many ran at once."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.count = self.running = self.most = 0

    def __call__(self) -> bytes:
        self.running += 1
        self.most = max(self.most, self.running)
        self.threads.add(threading.get_ident())
        self.count += 1
        self.running -= 1
        return b"a 1\n"


@pytest.fixture
async def rendering() -> Rendering:
    return Rendering()


@pytest.fixture
async def server(rendering: Rendering) -> AsyncIterator[MetricsServer]:
    server = MetricsServer(rendering)
    yield server
    await server.stop()


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    answer = await reader.read()
    await _close(writer)
    return answer


async def _status(port: int, request: bytes) -> int:
    return int((await _ask(port, request)).split(b" ")[1])


async def test_a_real_scrape() -> None:
    metrics = Metrics()
    server = MetricsServer(metrics.render)
    port = await server.start(HOST, 0)
    head, _, body = (await _ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    await server.stop()
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"rookery_outbox_dead 0.0\n" in body


async def test_rendering_is_off_the_loop_and_one_at_a_time(server: MetricsServer, rendering: Rendering) -> None:
    port = await server.start(HOST, 0)
    asked = [_ask(port, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n") for _ in range(8)]
    answers = await asyncio.gather(*asked)
    assert all(answer.endswith(b"\r\n\r\na 1\n") for answer in answers)
    assert (rendering.count, rendering.most) == (8, 1)
    assert threading.get_ident() not in rendering.threads


async def test_head_has_no_body(server: MetricsServer) -> None:
    port = await server.start(HOST, 0)
    answer = await _ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/../x HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01 nonsense\r\n\r\n", 404),
        (b"\r\n\r\n", 404),
    ],
)
async def test_anything_else_is_refused(
    server: MetricsServer, rendering: Rendering, request_: bytes, status: int
) -> None:
    port = await server.start(HOST, 0)
    assert await _status(port, request_) == status
    assert rendering.count == 0


async def test_whoever_sends_nothing_is_let_go(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "READ_TIMEOUT_S", 0.01)
    port = await server.start(HOST, 0)
    assert await _status(port, b"GET /metrics HTTP/1.1\r\n") == 408


async def test_a_cut_request_is_forgotten(server: MetricsServer) -> None:
    port = await server.start(HOST, 0)
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /met")
    writer.write_eof()
    assert await reader.read() == b""
    await _close(writer)


async def test_a_request_without_end_is_cut(server: MetricsServer, rendering: Rendering) -> None:
    port = await server.start(HOST, 0)
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (MAX_REQUEST_BYTES * 4))
    assert await _heard(reader) == b""
    assert rendering.count == 0
    await _close(writer)


async def test_connections_are_bounded_and_stop_closes_them(server: MetricsServer) -> None:
    port = await server.start(HOST, 0)
    idle = [await asyncio.open_connection(HOST, port) for _ in range(MAX_CONNECTIONS)]
    surplus, writer = await asyncio.open_connection(HOST, port)
    assert await _heard(surplus) == b""
    await _close(writer)
    await server.stop()
    for reader, held in idle:
        assert await _heard(reader) == b""
        await _close(held)


async def _heard(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side closed; a reset is a close with something unread."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_taken_port_is_an_error(server: MetricsServer, rendering: Rendering) -> None:
    port = await server.start(HOST, 0)
    with pytest.raises(OSError, match="address already in use"):
        await MetricsServer(rendering).start(HOST, port)


async def test_stopping_what_never_started(rendering: Rendering) -> None:
    await MetricsServer(rendering).stop()
    assert rendering.count == 0
