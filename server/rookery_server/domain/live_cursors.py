"""How far a stream of a home timeline has come, as a value and in few bytes (docs/protocols/live.md)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = struct.Struct(">qqq")
_MORE = 0x80


@dataclass(frozen=True, slots=True)
class LiveCursor:
    """What a stream has sent.

    `complete_through_ms`: whatever was acked by then has been sent, but for what lies in [`gap_floor`, `gap_below`)
    (both 0: nothing).  `sent`: the ids sent that a stream which goes on from here would meet again, ascending.
    """

    complete_through_ms: int
    sent: tuple[int, ...] = ()
    gap_below: int = 0
    gap_floor: int = 0


def pack(cursor: LiveCursor) -> bytes:
    """Ids as differences: seventeen seconds of a busy home are five bytes an id."""
    head = _HEAD.pack(cursor.complete_through_ms, cursor.gap_below, cursor.gap_floor)
    before, parts = 0, [head]
    for id_ in cursor.sent:
        parts.append(_number(id_ - before))
        before = id_
    return b"".join(parts)


def unpack(raw: bytes) -> LiveCursor:
    """Of bytes that `pack` made."""
    complete_through_ms, gap_below, gap_floor = _HEAD.unpack_from(raw)
    sent = tuple(itertools.accumulate(_numbers(raw[_HEAD.size :])))
    return LiveCursor(complete_through_ms, sent, gap_below, gap_floor)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last say that there is more."""
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def _numbers(raw: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < _MORE:
            yield value
            value = shift = 0
