"""Keys are part of the stored format: other releases and other processes read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.cache import keys
from rookery_server.domain import ids, limits

ID = 1_990_000_000_000_000_001


def test_golden_keys() -> None:
    assert [make(ID) for make in (keys.home, keys.home_meta, keys.history, keys.relations)] == [
        b"h:{1990000000000000001}",
        b"hm:{1990000000000000001}",
        b"hd:{1990000000000000001}",
        b"rel:{1990000000000000001}",
    ]
    assert [make(ID) for make in (keys.author, keys.body, keys.profile)] == [
        b"u:{1990000000000000001}",
        b"t:{1990000000000000001}",
        b"p:{1990000000000000001}",
    ]
    assert keys.bell(7) == b"bell:{7}"
    thirds = [((0, 5460),), ((5461, 10921),), ((10922, 16383),)]
    assert [keys.watermarks(third) for third in thirds] == [b"wm:{3}", b"wm:{1}", b"wm:{0}"]


def test_slots_are_those_of_the_cluster() -> None:
    # The test vector of the cluster specification: CRC16("123456789") = 0x31C3.
    assert keys.slot_of(123456789) == 0x31C3
    assert keys.slots_of([123456789, 0, ID]) == [keys.slot_of(number) for number in (123456789, 0, ID)]


@given(st.integers(0, keys.SLOTS - 500))
def test_watermarks_lie_on_their_primary(first: int) -> None:
    ranges = ((first, first + 9), (first + 400, first + 499))
    slot = keys.slot_of(keys.tag_in(ranges))
    assert first <= slot <= first + 9 or first + 400 <= slot <= first + 499


def test_one_slot_is_enough() -> None:
    assert keys.slot_of(keys.tag_in(((0, 0),))) == 0


@given(st.integers(0, ids.MAX_ID))
def test_the_bell_of_a_shard_names_it(shard: int) -> None:
    assert keys.shard_of_bell(keys.bell(shard)) == shard


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_lives_are_jittered(fraction: float) -> None:
    assert abs(keys.jittered(limits.LIST_LIFE_S, fraction) - limits.LIST_LIFE_S) <= 0.1 * limits.LIST_LIFE_S
    assert keys.deleted_life_s(fraction) >= limits.DELETED_LIFE_S >= 3600
    assert keys.jittered(1000, 0.0) < keys.jittered(1000, 0.5) < keys.jittered(1000, 0.999)
