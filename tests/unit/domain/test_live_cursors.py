"""How far a stream has come, as bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import ids, limits, live_cursors
from rookery_server.domain.errors import InvalidToken
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.tokens import SECRET_BYTES, NewerCursor, Scope, TokenSigner

SIGNER = TokenSigner({1: b"k" * SECRET_BYTES}, signing=1)
SCOPE = Scope("StreamHomeTimeline", 7, "known replies")
any_id = st.integers(0, ids.MAX_ID)
sent = st.sets(any_id, max_size=40).map(lambda some: tuple(sorted(some)))
cursors = st.builds(LiveCursor, st.integers(0, 1 << 45), sent, any_id, any_id)


@given(cursors)
def test_round_trip(cursor: LiveCursor) -> None:
    assert live_cursors.unpack(live_cursors.pack(cursor)) == cursor
    assert SIGNER.live_cursor(SIGNER.sign(cursor, SCOPE), SCOPE) == cursor


def test_golden_bytes() -> None:
    cursor = LiveCursor(5, (1, 128, 1 << 40), 9, 8)
    assert live_cursors.pack(cursor) == struct.pack(">qqq", 5, 9, 8) + b"\x01\x7f" + b"\x80\xff\xff\xff\xff\x1f"


def test_the_longest_there_is_fits() -> None:
    step = ids.MAX_ID // limits.STREAM_SENT_KEPT
    cursor = LiveCursor(5, tuple(range(step, ids.MAX_ID, step))[: limits.STREAM_SENT_KEPT])
    assert SIGNER.live_cursor(SIGNER.sign(cursor, SCOPE), SCOPE) == cursor


@pytest.mark.parametrize("other", [Scope("GetHomeTimeline", 7, "known replies"), Scope("StreamHomeTimeline", 8)])
def test_a_token_of_another_call_is_refused(other: Scope) -> None:
    with pytest.raises(InvalidToken):
        SIGNER.live_cursor(SIGNER.sign(LiveCursor(5), other), SCOPE)


def test_a_token_of_another_purpose_is_refused() -> None:
    with pytest.raises(InvalidToken):
        SIGNER.live_cursor(SIGNER.sign(NewerCursor(5, 5), SCOPE), SCOPE)
    with pytest.raises(InvalidToken):
        SIGNER.newer_cursor(SIGNER.sign(LiveCursor(5), SCOPE), SCOPE)
