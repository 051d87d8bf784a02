from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import ids, limits

milliseconds = st.integers(ids.EPOCH_MS, ids.EPOCH_MS + (1 << 41) - 1)
workers = st.integers(0, ids.WORKERS - 1)
sequences = st.integers(0, limits.SEQUENCE_PER_MS - 1)


def test_a_real_tweet_decodes_to_its_known_time() -> None:
    # A public tweet that its service shows with 2022-10-26 18:45 UTC.
    assert ids.time_ms(1585341984679469056) == 1666809958034


def test_golden_ids() -> None:
    assert ids.compose(ids.EPOCH_MS, 0, 0) == 0
    assert ids.compose(1_700_000_000_000, 1023, 999) == 1724551110460437479
    assert ids.compose(ids.EPOCH_MS + (1 << 41) - 1, 1023, 4095) == ids.MAX_ID


@given(milliseconds, workers, sequences)
def test_parts_come_back(ms: int, worker: int, sequence: int) -> None:
    id_ = ids.compose(ms, worker, sequence)
    assert (ids.time_ms(id_), ids.worker_of(id_), ids.sequence_of(id_)) == (ms, worker, sequence)
    assert 0 <= id_ <= ids.MAX_ID


@given(milliseconds, workers, sequences)
def test_first_at_bounds_a_millisecond(ms: int, worker: int, sequence: int) -> None:
    assert ids.first_at(ms) <= ids.compose(ms, worker, sequence) < ids.first_at(ms + 1)


def test_before_the_epoch_the_first_id_is_zero() -> None:
    assert ids.first_at(0) == 0


@given(milliseconds, sequences, milliseconds, sequences)
def test_write_timestamps_order_one_workers_ids(ms: int, one: int, other_ms: int, other: int) -> None:
    a, b = ids.compose(ms, 7, one), ids.compose(other_ms, 7, other)
    assert (a < b) == (ids.write_timestamp_us(a) < ids.write_timestamp_us(b))


@given(milliseconds, sequences, st.integers(0, 1 << 62))
def test_what_supersedes_is_strictly_later(ms: int, sequence: int, old_us: int) -> None:
    later = ids.later_timestamp_us(ids.compose(ms, 1, sequence), old_us)
    assert later > old_us
    assert later >= ids.write_timestamp_us(ids.compose(ms, 1, sequence))
