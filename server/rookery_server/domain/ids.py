"""Snowflake ids: the only place that knows their layout.

63 bits: 41 milliseconds since the epoch, 10 worker, 12 sequence (of which at most 1,000 a millisecond are used).  The
epoch is the one the field's tools decode, so real tweets can be imported under their own ids.  Order by id is order by
time within the clock bound.
"""

from __future__ import annotations

EPOCH_MS = 1_288_834_974_657
WORKER_BITS, SEQUENCE_BITS = 10, 12
WORKERS = 1 << WORKER_BITS
MAX_ID = (1 << 63) - 1
_SHIFT = WORKER_BITS + SEQUENCE_BITS


def compose(ms: int, worker: int, sequence: int) -> int:
    """The id of `sequence` at Unix millisecond `ms` by `worker`."""
    return (ms - EPOCH_MS) << _SHIFT | worker << SEQUENCE_BITS | sequence


def time_ms(id_: int) -> int:
    """Unix milliseconds at which `id_` was minted."""
    return (id_ >> _SHIFT) + EPOCH_MS


def worker_of(id_: int) -> int:
    return id_ >> SEQUENCE_BITS & WORKERS - 1


def sequence_of(id_: int) -> int:
    return id_ & (1 << SEQUENCE_BITS) - 1


def first_at(ms: int) -> int:
    """The lowest id of Unix millisecond `ms` (0 before the epoch)."""
    return max(0, ms - EPOCH_MS) << _SHIFT


def write_timestamp_us(id_: int) -> int:
    """The Cassandra write timestamp of a row created under `id_`: Unix ms × 1000 + sequence, in µs.

    Unique per worker and id, since the sequence stays below 1,000.
    """
    return time_ms(id_) * 1000 + sequence_of(id_)


def later_timestamp_us(new_id: int, old_us: int) -> int:
    """The write timestamp of what supersedes a row written at `old_us`: strictly later, whatever the clocks say."""
    return max(write_timestamp_us(new_id), old_us + 1)
