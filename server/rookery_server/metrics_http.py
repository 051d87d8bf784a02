"""`GET /metrics` over HTTP/1.1, and nothing else: a listener of its own, so scrapes never queue behind calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST

READ_TIMEOUT_S = 5.0
"""A scraper sends its request at once; whoever does not is not one."""
MAX_REQUEST_BYTES = 8 * 1024
"""Headers of every scraper seen stay below 1 KiB."""
MAX_CONNECTIONS = 16
"""A pair of scrapers and a person; more are closed unheard."""

_PLAIN = "text/plain; charset=utf-8"


class MetricsServer:
    """Serves what `render` returns.  Rendering takes tens of milliseconds, so it runs in a thread, one at a time."""

    def __init__(self, render: Callable[[], bytes]) -> None:
        self._render = render
        self._rendering = asyncio.Lock()
        self._connections: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, of interest when `port` is 0.  Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=MAX_REQUEST_BYTES)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Closes the listener and every connection."""
        if self._server is None:
            return
        self._server.close()
        # Closed, not cancelled: a reader sees the end of its stream, and a render under way ends first.
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None and len(self._connections) < MAX_CONNECTIONS:
            self._connections[task] = writer
            task.add_done_callback(self._connections.pop)
            with contextlib.suppress(ConnectionError):  # it went away: nobody is left to tell
                reply = await self._reply(reader)
                if not writer.is_closing():
                    writer.write(reply)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            return _answer(408, "no request came")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            return b""  # no scraper sends this much, or this little
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if path != b"/metrics":
            return _answer(404, "the metrics are at /metrics")
        if method not in (b"GET", b"HEAD"):
            return _answer(405, "only GET and HEAD")
        async with self._rendering:
            body = await asyncio.to_thread(self._render)
        return _head(200, CONTENT_TYPE_LATEST, len(body)) + (body if method == b"GET" else b"")


_REASONS = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
}


def _head(status: int, content_type: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def _answer(status: int, text: str) -> bytes:
    body = f"{text}\n".encode("ascii")
    return _head(status, _PLAIN, len(body)) + body
