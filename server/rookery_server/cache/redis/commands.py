"""Commands as bytes.  Those sent by the thousand are assembled here by hand, the others packed by hiredis."""

from __future__ import annotations

import hiredis

Word = bytes | str | int


def pack(*words: Word) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows one-element tuples only
    return packed


def get(key: bytes) -> bytes:
    return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key)


def lpushx_tail(tweet_id: int) -> bytes:
    """The end all pushes of one id have in common."""
    digits = b"%d" % tweet_id
    return b"\r\n$%d\r\n%b\r\n" % (len(digits), digits)


def lpushx(key: bytes, tail: bytes) -> bytes:
    return b"*3\r\n$6\r\nLPUSHX\r\n$%d\r\n%b%b" % (len(key), key, tail)


def bulk(word: Word) -> bytes:
    """One word of a command (https://valkey.io/topics/protocol, bulk strings)."""
    data = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def set_body(key: bytes, framed: bytes, life_s: int, *, only_absent: bool) -> bytes:
    return pack("SET", key, framed, "EX", life_s, "NX") if only_absent else pack("SET", key, framed, "EX", life_s)
