"""Every key of the cache: its name, its slot and its life.  No other module spells one.

Each key carries one decimal number in braces, the hash tag, so that all keys of a user share a slot (the cluster
hashes what stands in the braces: https://valkey.io/topics/cluster-spec/#hash-tags): a home read is one trip, a removal
one script, and a slot can be had from the number alone.
"""

from __future__ import annotations

import functools
from binascii import crc_hqx
from collections.abc import Iterable

from rookery_server.domain import limits

SLOTS = 16_384
Ranges = tuple[tuple[int, int], ...]
"""Slots from first to last, both included; at least one."""
END_MARK = b"0"
"""The last element of a list that holds the whole history: below every id."""
LIFE_JITTER = 0.1
"""Of a life, either way: what was filled together must not expire together."""
HISTORY_LIFE_S = 600
"""Deeper pages are scrolled within minutes or never."""
PROFILE_LIFE_S = 3600
HEAD_POSITIONS = 16
"""Of a home list, for one look whether anything arrived: more than arrive in the second between two looks."""


def home(user_id: int) -> bytes:
    """LIST of tweet ids, newest at the head."""
    return b"h:{%d}" % user_id


def home_meta(user_id: int) -> bytes:
    """STRING: the relations version the list was built under, and when (Unix ms)."""
    return b"hm:{%d}" % user_id


def history(user_id: int) -> bytes:
    """STRING: the next ids below a home list."""
    return b"hd:{%d}" % user_id


def relations(user_id: int) -> bytes:
    """STRING: the viewer's relations, or the stub that replaces them."""
    return b"rel:{%d}" % user_id


def author(author_id: int) -> bytes:
    """LIST of an author's newest tweet ids."""
    return b"u:{%d}" % author_id


def body(tweet_id: int) -> bytes:
    """STRING: a framed tweet; empty = deleted."""
    return b"t:{%d}" % tweet_id


def profile(user_id: int) -> bytes:
    """STRING: what every path needs to know of an account, or the stub that replaces it."""
    return b"p:{%d}" % user_id


def bell(shard: int) -> bytes:
    """Sharded channel on which an outbox shard's events are announced."""
    return b"bell:{%d}" % shard


def shard_of_bell(channel: bytes) -> int:
    return int(channel[len(b"bell:{") : -1])


WATERMARKS_NODE = b"node"
"""Field of a watermarks hash: the shard id of the primary it speaks of."""


def watermarks(ranges: Ranges) -> bytes:
    """HASH of a primary's watermarks.  It must lie on that primary, so it is named by one of its slots; `ranges` are
    all of them."""
    return b"wm:{%d}" % tag_in(ranges)


def slot_of(number: int) -> int:
    """The slot of every key whose tag is `number`: CRC-16/XMODEM modulo 16,384, as the cluster computes it."""
    return crc_hqx(b"%d" % number, 0) & 0x3FFF


def slots_of(numbers: Iterable[int]) -> list[int]:
    """`slot_of` for many, without a call for each."""
    return [crc_hqx(b"%d" % number, 0) & 0x3FFF for number in numbers]


@functools.lru_cache(maxsize=1024)
def tag_in(ranges: Ranges) -> int:
    """The lowest number that falls into these slots: found within a few tries where a primary has thousands of them."""
    number = 0
    while not any(first <= slot_of(number) <= last for first, last in ranges):
        number += 1
    return number


def jittered(life_s: int, fraction: float) -> int:
    """`life_s` moved by up to a tenth either way; `fraction` is a random number of [0, 1)."""
    return round(life_s * (1 + LIFE_JITTER * (2 * fraction - 1)))


def deleted_life_s(fraction: float) -> int:
    """Jittered upwards only: the marker must outlive every fill under way."""
    return round(limits.DELETED_LIFE_S * (1 + LIFE_JITTER * fraction))
