"""Slices and merges against brute force: what they show is all there is, whatever the disorder within D."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import ids
from rookery_server.domain.limits import ORDER_SLACK_MS
from rookery_server.domain.merge import (
    BEYOND,
    UNKNOWN,
    Part,
    covers_from,
    floor_behind,
    hint_for,
    join,
    merge,
    sliced,
)

NOW = 1_700_000_000_000


def _id(at_ms: int, sequence: int = 0) -> int:
    return ids.compose(NOW + at_ms, 1, sequence)


ID = st.builds(_id, st.integers(0, 6 * ORDER_SLACK_MS), st.integers(0, 3))


@st.composite
def lists(draw: st.DrawFn) -> list[int]:
    """A list as deliveries leave it: newest first, but each entry up to D too far up; some are there twice."""
    entries = draw(st.lists(st.tuples(ID, st.integers(0, ORDER_SLACK_MS)), max_size=60))
    return [id_ for id_, late in sorted(entries, key=lambda entry: -(ids.time_ms(entry[0]) + entry[1]))]


@given(lists(), st.integers(0, 60), st.booleans())
def test_a_slice_has_every_id_down_to_its_floor(positions: list[int], count: int, whole: bool) -> None:
    slice_ = positions[:count]
    part = sliced(slice_, whole and count >= len(positions))
    assert list(part.ids) == sorted({id_ for id_ in positions if id_ >= part.floor}, reverse=True)


def test_a_whole_list_has_no_floor() -> None:
    assert sliced([_id(5), _id(7), _id(5)], whole=True) == Part((_id(7), _id(5)), 0)
    assert sliced([], whole=True) == Part((), 0)


def test_an_empty_slice_without_end_proves_nothing() -> None:
    assert sliced([], whole=False) is UNKNOWN


def test_the_floor_is_one_millisecond_above_the_slack() -> None:
    assert floor_behind(_id(0, 3)) == ids.first_at(NOW + ORDER_SLACK_MS + 1)


@given(lists(), st.integers(0, 60), st.integers(0, 60), ID)
def test_a_slice_that_covers_leaves_nothing_above_it(positions: list[int], start: int, count: int, below: int) -> None:
    if covers_from(positions[start : start + count], below):
        assert all(id_ >= below for id_ in positions[:start])


@given(lists(), st.integers(0, 30), st.integers(1, 60), ID)
def test_a_hint_leads_to_a_slice_that_covers(positions: list[int], start: int, count: int, below: int) -> None:
    hint = hint_for(positions[start : start + count], start, below)
    assert hint == 0 or covers_from(positions[hint : hint + 1], below)


@st.composite
def known(draw: st.DrawFn) -> tuple[dict[int, list[int]], dict[int, Part]]:
    """The whole history of some sources, and what is known of each."""
    histories, parts = {}, {}
    for key in range(draw(st.integers(1, 5))):
        history = sorted(set(draw(st.lists(ID, max_size=20))), reverse=True)
        floor = draw(st.sampled_from([0, BEYOND, *history]))
        histories[key] = history
        parts[key] = Part(tuple(id_ for id_ in history if id_ >= floor), floor)
    return histories, parts


@given(known(), st.one_of(ID, st.just(BEYOND)), st.integers(1, 25))
def test_a_merge_shows_all_there_is_down_to_its_floor(
    sources: tuple[dict[int, list[int]], dict[int, Part]], below: int, want: int
) -> None:
    histories, parts = sources
    merged = merge(parts, below, want)
    everything = sorted({id_ for history in histories.values() for id_ in history if id_ < below}, reverse=True)
    assert list(merged.part.ids) == [id_ for id_ in everything if id_ >= merged.part.floor]
    if not merged.blocked:
        assert list(merged.part.ids) == everything[:want]


@given(known(), st.one_of(ID, st.just(BEYOND)), st.integers(1, 25))
def test_reading_the_blocked_sources_is_enough(
    sources: tuple[dict[int, list[int]], dict[int, Part]], below: int, want: int
) -> None:
    histories, parts = sources
    for key in merge(parts, below, want).blocked:
        parts[key] = Part(tuple(histories[key]), 0)
    assert not merge(parts, below, want).blocked


@given(known(), st.integers(1, 7))
def test_walking_down_shows_each_id_once(sources: tuple[dict[int, list[int]], dict[int, Part]], want: int) -> None:
    histories, parts = sources
    shown: list[int] = []
    below = BEYOND
    while True:
        while (merged := merge(parts, below, want)).blocked:
            for key in merged.blocked:  # one more row of each, as a store would give it
                rest = [id_ for id_ in histories[key] if id_ < min(below, parts[key].floor)]
                parts[key] = Part(parts[key].ids + tuple(rest[:1]), rest[0] if len(rest) > 1 else 0)
        shown.extend(merged.part.ids)
        if merged.part.floor == 0:
            break
        below = merged.part.floor
    assert shown == sorted({id_ for history in histories.values() for id_ in history}, reverse=True)


@given(known())
def test_a_join_is_complete_from_the_higher_floor(
    sources: tuple[dict[int, list[int]], dict[int, Part]],
) -> None:
    histories, parts = sources
    joined = join(parts[0], parts[max(parts)])
    everything = {*histories[0], *histories[max(parts)]}
    assert list(joined.ids) == sorted((id_ for id_ in everything if id_ >= joined.floor), reverse=True)


class Looked(tuple[int, ...]):
    """Ids that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        Looked.looks += 1
        return super().__getitem__(at)


def test_a_merge_of_thousands_looks_at_little_more_than_it_takes() -> None:
    """Of 400,000 ids: whoever looks at all of them holds up everybody else of the process meanwhile."""
    every, thousands, want = range(_id(0), _id(0) + 400_000), 2_000, 800
    sources = {at: Part(Looked(every[-1 - at :: -thousands]), 0) for at in range(thousands)}
    Looked.looks = 0
    merged = merge(sources, BEYOND, want)
    assert merged.part.ids == tuple(every[-1 : -1 - want : -1])
    assert Looked.looks <= 4 * thousands + want


@given(st.integers(0, 70))
def test_a_merge_begins_right_below_where_it_is_told(at: int) -> None:
    ids_ = tuple(_id(0, sequence) for sequence in range(60, 0, -1))
    for below in (_id(0, at), _id(1)):
        merged = merge({1: Part(ids_, 0), 2: Part(ids_[::7], 0)}, below, 5)
        assert merged.part.ids == tuple(id_ for id_ in ids_ if id_ < below)[:5]
