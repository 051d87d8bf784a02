"""Just enough of the CQL native protocol (version 4) to see whether a node is ready.

The project's driver lives behind its own session; a launcher that only asks "are you there?" needs no second one.
Format: https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec
"""

import socket
import struct

_STARTUP, _OPTIONS, _QUERY = 0x01, 0x05, 0x07
_ERROR, _SUPPORTED, _RESULT = 0x00, 0x06, 0x08
_CONSISTENCY_ONE = 0x0001
_SKIP_METADATA = 0x02
_KIND_ROWS = 0x0002
_PAGING_STATE = 0x0002  # bit in the flags of a result's metadata


class CqlError(Exception):
    """The node answered with an error; the text is its own."""


def answers(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether a node speaks CQL there (an OPTIONS request is answered with SUPPORTED)."""
    try:
        with socket.create_connection((host, port), timeout) as sock:
            return _exchange(sock, _OPTIONS, b"")[0] == _SUPPORTED
    except (OSError, EOFError):
        return False


def query(host: str, port: int, statement: str, timeout: float = 5.0) -> list[list[bytes | None]]:
    """Run one statement without values at consistency ONE on this node; rows as raw cells, [] when it has none.

    Raises OSError or EOFError when the node cannot be reached, CqlError when it refuses.
    """
    with socket.create_connection((host, port), timeout) as sock:
        _exchange(sock, _STARTUP, b"\x00\x01" + _string("CQL_VERSION") + _string("3.0.0"))
        text = statement.encode()
        body = struct.pack(">i", len(text)) + text + struct.pack(">HB", _CONSISTENCY_ONE, _SKIP_METADATA)
        opcode, answer = _exchange(sock, _QUERY, body)
    return _rows(answer) if opcode == _RESULT else []


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _exchange(sock: socket.socket, opcode: int, body: bytes) -> tuple[int, bytes]:
    sock.sendall(struct.pack(">BBhBi", 0x04, 0, 0, opcode, len(body)) + body)
    _, _, _, kind, length = struct.unpack(">BBhBi", _receive(sock, 9))
    answer = _receive(sock, length)
    if kind == _ERROR:
        (size,) = struct.unpack_from(">H", answer, 4)
        raise CqlError(answer[6 : 6 + size].decode(errors="replace"))
    return kind, answer


def _receive(sock: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        chunk = sock.recv(length - len(parts))
        if not chunk:
            raise EOFError("the node closed the connection")
        parts += chunk
    return bytes(parts)


def _rows(body: bytes) -> list[list[bytes | None]]:
    (kind,) = struct.unpack_from(">i", body)
    if kind != _KIND_ROWS:
        return []
    flags, columns = struct.unpack_from(">ii", body, 4)
    at = 12
    if flags & _PAGING_STATE:
        _, at = _cell(body, at)
    (count,) = struct.unpack_from(">i", body, at)
    at += 4
    rows: list[list[bytes | None]] = []
    for _ in range(count):
        row: list[bytes | None] = []
        for _ in range(columns):
            cell, at = _cell(body, at)
            row.append(cell)
        rows.append(row)
    return rows


def _cell(body: bytes, at: int) -> tuple[bytes | None, int]:
    (length,) = struct.unpack_from(">i", body, at)
    at += 4
    return (None, at) if length < 0 else (body[at : at + length], at + length)
