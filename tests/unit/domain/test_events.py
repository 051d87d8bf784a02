import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import events, ids
from rookery_server.domain.events import Event, EventKind

longs = st.integers(0, ids.MAX_ID)


@given(longs, st.sampled_from(EventKind), longs, longs, longs, st.booleans())
def test_bytes_come_back(id_: int, kind: EventKind, subject: int, target: int, version: int, repeat: bool) -> None:
    event = Event(id_, kind, subject, target, version, repeat)
    assert events.decode(events.encode(event)) == event


def test_golden_bytes() -> None:
    event = Event(1, EventKind.UNFOLLOW, 2, 3, 4, repeat=True)
    assert events.encode(event).hex() == "010401" + "".join(f"{n:016x}" for n in (1, 2, 3, 4))


@given(st.binary(max_size=64))
def test_any_bytes_are_an_event_or_undecodable(raw: bytes) -> None:
    try:
        event = events.decode(raw)
    except events.Undecodable:
        return
    assert events.decode(events.encode(event)) == event


@pytest.mark.parametrize("cut", range(35))
def test_a_cut_event_is_undecodable(cut: int) -> None:
    with pytest.raises(events.Undecodable):
        events.decode(events.encode(Event(1, EventKind.POST, 2, 3, 4))[:cut])


@pytest.mark.parametrize(("at", "value"), [(0, 0), (0, 2), (1, 0), (1, 99)])
def test_an_unknown_version_or_kind_is_undecodable(at: int, value: int) -> None:
    raw = bytearray(events.encode(Event(1, EventKind.POST, 2, 3, 4)))
    raw[at] = value
    with pytest.raises(events.Undecodable):
        events.decode(bytes(raw))


def test_ids_minted_in_a_row_spread_over_the_shards() -> None:
    counts = collections.Counter(events.shard_of(ids.compose(1_700_000_000_000, 3, n), 16) for n in range(1000))
    assert set(counts) == set(range(16))
    assert max(counts.values()) < 100


def test_shards_never_change() -> None:
    assert [events.shard_of(subject, 16) for subject in (0, 1, 2, 1724551110460437479)] == [0, 5, 10, 4]


@given(st.integers(ids.EPOCH_MS, ids.EPOCH_MS + (1 << 41) - 1))
def test_an_event_lies_in_a_window_of_its_minute(ms: int) -> None:
    window = events.window_of(ids.compose(ms, 0, 0))
    assert window * events.WINDOW_MS <= ms < (window + 1) * events.WINDOW_MS
    assert window in events.windows_between(ms, ms)
