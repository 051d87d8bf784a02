"""Framing of serialised tweets, so that a page is one join.

A framed tweet is its serialised bytes with the protobuf tag and length of field 1 (`tweets` of every timeline reply)
in front.  The cache keeps tweets framed; Cassandra keeps them bare, since they are its truth and no reply's detail.
Source of the encoding: the protobuf wire format, https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

_TAG = b"\x0a"  # field 1, length-delimited


def frame(body: bytes) -> bytes:
    size, prefix = len(body), bytearray(_TAG)
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + body


def unframe(framed: bytes) -> bytes:
    """The bare bytes; `framed` must be one frame."""
    at = 1
    while framed[at] & 0x80:
        at += 1
    return framed[at + 1 :]
