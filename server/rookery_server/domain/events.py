"""Events of the outbox: what they are, where they go in the log, and their bytes.

The log is split into `shards` by a hash of the subject, so all consequences of one author or follower are applied in
order by one worker, and into windows of one minute of the event id.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from rookery_server.domain import ids

WINDOW_MS = 60_000


class EventKind(enum.IntEnum):
    POST = 1
    DELETE = 2
    FOLLOW = 3
    UNFOLLOW = 4
    BLOCK = 5
    UNBLOCK = 6
    MUTE = 7
    """A mute, its end, or its change: only the muter's relations depend on it."""
    ACCOUNT = 8
    """The account's row is about to change: written before the change, applied after its attempt has ended."""


@dataclass(frozen=True, slots=True)
class Event:
    """A consequence still to be applied.

    `subject`: the author (POST, DELETE), follower, blocker, muter or account; `target`: the tweet or the other account.
    `version`: the write timestamp (µs) of the row this event speaks of; the event is not applied before a quorum read
    shows that row at this version or later.  `repeat`: the attempt repeats one whose outcome was unknown, so what it
    announces may be old: it is placed, never pushed.
    """

    id: int
    kind: EventKind
    subject: int
    target: int
    version: int
    repeat: bool = False


class Undecodable(ValueError):
    """The bytes are not an event this release knows: dead-lettered, neighbours go on."""


_FORMAT_VERSION = 1
_LAYOUT = struct.Struct(">BBBqqqq")


def encode(event: Event) -> bytes:
    return _LAYOUT.pack(_FORMAT_VERSION, event.kind, event.repeat, event.id, event.subject, event.target, event.version)


def decode(raw: bytes) -> Event:
    """Raises Undecodable."""
    try:
        version, kind, repeat, id_, subject, target, row_version = _LAYOUT.unpack(raw)
        if version != _FORMAT_VERSION:
            raise Undecodable(f"format version {version}")
        return Event(id_, EventKind(kind), subject, target, row_version, bool(repeat))
    except (struct.error, ValueError) as error:
        raise Undecodable(str(error)) from error


def shard_of(subject: int, shards: int) -> int:
    """The log shard of a subject.  A 64-bit finalizer (splitmix64), so that ids minted in a row spread evenly."""
    mask = (1 << 64) - 1
    x = subject & mask
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
    return (x ^ x >> 31) % shards


def window_of(event_id: int) -> int:
    """The minute (Unix time) an event is filed under."""
    return ids.time_ms(event_id) // WINDOW_MS


def windows_between(since_ms: int, until_ms: int) -> range:
    return range(since_ms // WINDOW_MS, until_ms // WINDOW_MS + 1)
