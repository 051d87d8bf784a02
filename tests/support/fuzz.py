"""Requests nobody would send, made from the contract's descriptors, and what must hold of every answer to them.

Half of them are messages of the right type with odd values, some of those with bytes flipped, cut or added; the rest
are noise.  A seed gives the same requests again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rookery import errors
from rookery_server.rpc.methods import Method

INTEGERS = (0, 1, -1, 2, 1 << 31, (1 << 63) - 1, -(1 << 63), 1_990_000_000_000_000_000)
PIECES = (
    *("", "a", "é", "漢" * 300, "👨‍👩‍👧‍👦", "\x00", "\u202e", "\ufeff", "\n", "e\u0301" * 50, "x" * 5000, "0" * 36),
    *("@ada #x $Y https://a.example", "../../etc/passwd", "'; DROP TABLE tweets; --", "http://127.0.0.1/\r\nx: y"),
    *("3e4666bf-d5e5-4aa7-b8ce-cefe41c7568a", "AQEBAAAA", "display_name"),
)
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
AT_ONCE = 8
"""Some calls take a second by design; the server takes 16 of one connection."""
ANSWER_S = 30.0
"""As long as a server lets any call take: a busy machine needs seconds for a thousand leases."""
NEVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}


class Fuzz:
    """`ids`: of users and tweets that exist, so that some requests get past the door."""

    def __init__(self, seed: int, ids: Sequence[int] = ()):
        self._random = random.Random(seed)
        likely = tuple(ids or (1, 2, 3)) * 6  # so that a request of several ids has a chance
        self._ids = (*INTEGERS, *likely)
        self._acting = ("0", "-1", "x", "9" * 25, None, *(str(id_) for id_ in likely))

    def request(self, kind: type[Message]) -> bytes:
        chance = self._random.random()
        if chance < 0.2:
            return self._random.randbytes(self._random.randrange(64))
        raw = bytearray(self._message(kind).SerializeToString())
        if chance < 0.5 and raw:
            at = self._random.randrange(len(raw))
            match self._random.randrange(3):
                case 0:
                    raw[at] ^= 1 << self._random.randrange(8)
                case 1:
                    del raw[at:]
                case _:
                    raw[at:at] = self._random.randbytes(4)
        return bytes(raw)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        acting = self._random.choice(self._acting)
        return () if acting is None else (("rookery-acting-user", acting),)

    def _message(self, kind: type[Message]) -> Message:
        message = kind()
        for field in message.DESCRIPTOR.fields:
            if self._random.random() < 0.8:
                self._fill(message, field)
        return message

    def _fill(self, message: Message, field: Any) -> None:
        into = getattr(message, field.name)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for _ in range(self._random.randrange(6)):
                part = self._message(type(into.add() if field.is_repeated else into))
                into.append(part) if field.is_repeated else into.MergeFrom(part)
        elif field.is_repeated:
            # Not so many texts that the transport refuses the request before anything of ours sees it.
            sizes = (0, 1, 6) if field.type == FieldDescriptor.TYPE_STRING else (0, 1, 3, 100, 101, 1000)
            into.extend(self._scalar(field) for _ in range(self._random.choice(sizes)))
        else:
            setattr(message, field.name, self._scalar(field))

    def _scalar(self, field: Any) -> object:
        if field.type == FieldDescriptor.TYPE_STRING:
            return "".join(self._random.choices(PIECES, k=self._random.randrange(4)))
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self._random.random() < 0.5
        if field.type == FieldDescriptor.TYPE_INT64:
            return self._random.choice(self._ids)
        assert field.type == FieldDescriptor.TYPE_INT32, f"no odd values for {field.full_name}"
        return self._random.choice((0, 1, -1, 100, 101, (1 << 31) - 1, -(1 << 31)))


async def _answer(channel: grpc.aio.Channel, method: Method, raw: bytes, metadata: tuple[tuple[str, str], ...]) -> None:
    """Of a stream, the first message."""
    if not method.streams:
        unary: Any = channel.unary_unary(method.path)
        await unary(raw, metadata=metadata, timeout=ANSWER_S)
        return
    opened: Any = channel.unary_stream(method.path)
    stream = opened(raw, metadata=metadata, timeout=ANSWER_S)
    await stream.read()
    stream.cancel()


async def answers_well(
    channel: grpc.aio.Channel, methods: Sequence[Method], count: int, seed: int, ids: Sequence[int] = ()
) -> Counter[str]:
    """Sends `count` requests; raises AssertionError for an answer that is our fault or says nothing.  Codes counted."""
    fuzz, codes = Fuzz(seed, ids), Counter[str]()

    async def send(method: Method, raw: bytes, metadata: tuple[tuple[str, str], ...]) -> None:
        try:
            await _answer(channel, method, raw, metadata)
            codes["OK"] += 1
        except grpc.aio.AioRpcError as error:
            codes[error.code().name] += 1
            if error.code() in NEVER or not errors.from_rpc(error).reason:
                told = f"{method.name} {metadata} {raw[:500].hex()} ({len(raw)} bytes)"
                raise AssertionError(f"{told}: {error.code()} {error.details()}") from error

    for start in range(0, count, AT_ONCE):
        due = [methods[at % len(methods)] for at in range(start, min(start + AT_ONCE, count))]
        await asyncio.gather(*[send(method, fuzz.request(method.request), fuzz.metadata()) for method in due])
    return codes
