"""The bytes under `hd:`."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.cache.interface import HistoryRead
from rookery_server.cache.redis.histories import parse_history, write_history
from rookery_server.domain import ids

any_id = st.integers(0, ids.MAX_ID)
histories = st.builds(HistoryRead, any_id, any_id, st.lists(any_id, max_size=50).map(tuple), any_id, any_id)


@given(histories)
def test_round_trip(history: HistoryRead) -> None:
    assert parse_history(write_history(history)) == history


def test_golden_value() -> None:
    expected = b"\x01" + struct.pack(">QQQqI", 90, 70, 3, 1_000, 2) + struct.pack(">qq", 80, 70)
    assert write_history(HistoryRead(90, 70, (80, 70), 3, 1_000)) == expected


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"\x01",
        b"\x02" + write_history(HistoryRead(9, 7, (8,), 3, 1))[1:],
        write_history(HistoryRead(9, 7, (8,), 3, 1))[:-1],
    ],
)
def test_what_cannot_be_read_is_missing(raw: bytes | None) -> None:
    assert parse_history(raw) is None
