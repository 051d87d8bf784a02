"""The bytes under `rel:`."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.cache.interface import Link, RelationsRead
from rookery_server.cache.redis.relations import read_value, version_bytes, write_value
from rookery_server.domain import ids
from rookery_server.domain.models import Relations

LINK = Link("node", 3)
any_id = st.integers(1, ids.MAX_ID)
id_sets = st.frozensets(any_id, max_size=20)
mutes = st.dictionaries(any_id, st.integers(0, 1 << 60), max_size=20)
relations = st.builds(Relations, any_id, id_sets, id_sets, mutes, id_sets, st.none() | id_sets)


def stub(version: int, *stubbed: int) -> bytes:
    return bytes((2, 0)) + version_bytes(version) + bytes((len(stubbed),)) + b"".join(map(version_bytes, stubbed))


@given(relations, st.lists(any_id, max_size=8))
def test_round_trip_over_a_stub(value: Relations, stubbed: list[int]) -> None:
    seen = stub(5, *stubbed)
    raw = write_value(value, seen)
    read = read_value(LINK, raw)
    assert (read.seen, read.version, read.relations) == (raw, value.version, value)
    # The versions it was stubbed for live on, through any number of loads.
    assert write_value(value, raw) == raw
    assert raw[11 : 11 + 8 * len(stubbed)] == b"".join(map(version_bytes, stubbed))


def test_golden_value() -> None:
    value = Relations(3, unfollowed=frozenset({9, 7}), muted={6: 0, 5: 99}, pull=frozenset({1}), blocked_by=None)
    assert write_value(value, stub(2, 2)) == (
        b"\x02\x01" + struct.pack(">QBQ", 3, 1, 2)
        + struct.pack(">IqqI", 2, 7, 9, 0) + struct.pack(">Iq", 1, 1) + b"\xff\xff\xff\xff"
        + struct.pack(">Iqqqq", 2, 5, 6, 99, 0)
    )  # fmt: skip


def test_absent_and_stub() -> None:
    assert read_value(LINK, None) == RelationsRead(LINK, None, 0, None)
    read = read_value(LINK, stub(42, 40, 41))
    assert (read.version, read.relations) == (42, None)


OF_FORMAT_1 = (
    b"\x01\x01" + struct.pack(">QBQ", 3, 1, 2) + struct.pack(">IqqII", 2, 7, 9, 0, 0) + struct.pack(">Iq", 1, 1)
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x02",
        b"\x03" + stub(42)[1:],
        b"\x01" + stub(42)[1:],
        OF_FORMAT_1,
        write_value(Relations(1), None)[:-1],
        write_value(Relations(1, muted={1: 0}), None)[:-1],
    ],
)
def test_what_cannot_be_read_is_replaced_not_believed(raw: bytes) -> None:
    read = read_value(LINK, raw)
    assert (read.seen, read.version, read.relations) == (raw, 0, None)
    assert read_value(LINK, write_value(Relations(7), raw)).relations == Relations(7)
