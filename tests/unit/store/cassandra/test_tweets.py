from __future__ import annotations

from rookery_server.store.cassandra.tweets import KnownBuckets


def test_known_buckets_forget_the_least_recently_used() -> None:
    known = KnownBuckets(size=2)
    known.add((1, 1))
    known.add((2, 1))
    assert (1, 1) in known
    known.add((3, 1))
    assert [pair in known for pair in ((1, 1), (2, 1), (3, 1))] == [True, False, True]


def test_adding_again_takes_no_room() -> None:
    known = KnownBuckets(size=2)
    for _ in range(3):
        known.add((1, 1))
    known.add((2, 1))
    assert (1, 1) in known
    assert (1, 2) not in known
