"""Opening a connection: who are you, whom do you serve, and an end to the one I had before.

A connection that broke may still have commands in the node's socket buffer, which a node that was only slow would run
later, behind whatever the next connection sends.  So the first thing a new connection does is to kill its predecessor
by id (docs/protocols/links.md).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rookery_server.cache.redis.commands import Word, pack
from rookery_server.cache.redis.connection import Connection, Reply, is_error
from rookery_server.cache.redis.errors import Disconnected, Malformed, NotSent, Redirected, TimedOut
from rookery_server.cache.redis.settings import Address, RedisSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """A connection as its node knows it.  Ids start again when a node restarts, so the address belongs to it: both
    together never name somebody else's connection."""

    id: bytes
    address: bytes


@dataclass(frozen=True, slots=True)
class Greeting:
    connection: Connection
    identity: Identity


async def dial(
    address: Address,
    settings: RedisSettings,
    *,
    shard_id: str | None = None,
    predecessor: Identity | None = None,
    prelude: tuple[bytes, ...] = (),
) -> Greeting:
    """A connection that has said hello, within `connect_timeout_s`.

    With `shard_id` the node must be that shard's primary.  `predecessor` is killed, and `prelude` (packed commands,
    one each) answered, before this returns.  Raises LinkError.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(settings.timeout_s, settings.queue), address.host, address.port, ssl=settings.tls
            )
            return Greeting(connection, await _greet(connection, settings, shard_id, predecessor, prelude))
    except TimeoutError as error:
        _give_up(connection)
        raise TimedOut(f"{address}: no greeting in {settings.connect_timeout_s:g} s") from error
    except OSError as error:
        _give_up(connection)
        raise Disconnected(f"{address}: {error}") from error
    except BaseException:
        _give_up(connection)
        raise


def _give_up(connection: Connection | None) -> None:
    if connection is not None:
        connection.lose(NotSent("not greeted"))


async def _greet(
    connection: Connection,
    settings: RedisSettings,
    shard_id: str | None,
    predecessor: Identity | None,
    prelude: tuple[bytes, ...],
) -> Identity:
    commands = [_hello(settings), pack("CLIENT", "INFO"), pack("CLUSTER", "MYSHARDID")]
    if predecessor is not None:
        commands.append(pack("CLIENT", "KILL", "ID", predecessor.id, "ADDR", predecessor.address))
    commands += prelude
    replies = await connection.send(b"".join(commands), len(commands))
    for reply in replies:
        if is_error(reply):
            raise Malformed(f"handshake: {reply}")
    hello, info, named, *_ = replies
    if shard_id is not None and (hello[b"role"] != b"master" or named.decode() != shard_id):
        raise Redirected("no longer the primary of this shard")
    return _identity(info)


def _hello(settings: RedisSettings) -> bytes:
    words: list[Word] = ["HELLO", 3]
    if settings.password is not None:
        words += ["AUTH", settings.username or "default", settings.password]
    return pack(*words, "SETNAME", "rookery")


def _identity(info: Reply) -> Identity:
    text = info if isinstance(info, bytes) else str(info).encode()
    fields = dict(part.partition(b"=")[::2] for part in text.split())
    try:
        return Identity(fields[b"id"], fields[b"addr"])
    except KeyError as error:
        raise Malformed(f"CLIENT INFO without {error}") from error
