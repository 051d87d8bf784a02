"""Spans of a partition over replicas: what is read, in which order, and what a read repairs."""

from __future__ import annotations

import random

import pytest

from rookery_server.store.memory.cells import EVERYTHING, Cell, Span, Table

ROWS = {3: Cell("c", 1), 5: Cell("e", 1), 8: Cell("h", 1, expires_ms=100), 9: Cell("i", 1)}


def table(*holders: dict[int, Cell]) -> Table:
    made = Table(3)
    for replica, rows in enumerate(holders):
        for key, cell in rows.items():
            made.apply(replica, "p", key, cell)
    return made


@pytest.mark.parametrize(
    ("span", "keys"),
    [
        (EVERYTHING, [3, 5, 8, 9]),
        (Span(newest_first=True), [9, 8, 5, 3]),
        (Span(above=3, below=9), [5, 8]),
        (Span(above=4, limit=2), [5, 8]),
        (Span(below=9, limit=2, newest_first=True), [8, 5]),
        (Span(limit=0), []),
    ],
)
def test_a_span_has_open_borders_an_order_and_a_limit(span: Span, keys: list[int]) -> None:
    assert list(table(ROWS, ROWS, ROWS).rows((0, 1), "p", span, now_ms=99)) == keys


def test_what_expired_counts_for_no_limit() -> None:
    assert list(table(ROWS, ROWS).rows((0, 1), "p", Span(above=3, limit=2), now_ms=100)) == [5, 9]


def test_replicas_add_up_and_nothing_comes_twice() -> None:
    split = table({3: ROWS[3]}, {9: ROWS[9]}, ROWS)
    assert split.rows((0, 1), "p") == {3: ROWS[3], 9: ROWS[9]}
    assert split.rows((1, 2), "p", Span(limit=4)) == ROWS
    assert table().rows((0, 1), "p") == {}


def test_a_page_repairs_the_rows_it_read_and_none_behind_them() -> None:
    split = table({}, {}, ROWS)
    assert list(split.rows((1, 2), "p", Span(limit=2))) == [3, 5]
    assert list(split.rows((0, 1), "p")) == [3, 5]
    assert split.row((0, 1), "p", 9) is None


def test_an_older_copy_gives_way_on_every_replica_asked() -> None:
    old, new = Cell("old", 1), Cell("new", 2)
    split = table({7: old}, {7: new}, {7: old})
    assert split.row((0, 1), "p", 7) == new
    assert split.row((0, 2), "p", 7) == new


@pytest.mark.parametrize("seed", range(20))
def test_any_span_is_what_sorting_everything_gives(seed: int) -> None:
    dice = random.Random(seed)
    made, held = Table(3), [dict[int, Cell](), dict[int, Cell](), dict[int, Cell]()]
    for _ in range(60):
        replica, key = dice.randrange(3), dice.randrange(30)
        cell = Cell(dice.randrange(9), dice.randrange(9), dice.choice([None, None, 50]))
        made.apply(replica, "p", key, cell)
        if cell.beats(held[replica].get(key)):
            held[replica][key] = cell
    span = Span(dice.choice([None, 4]), dice.choice([None, 25]), dice.choice([None, 3, 9]), dice.random() < 0.5)
    merged = dict(held[0])
    for key, cell in held[2].items():
        if cell.beats(merged.get(key)):
            merged[key] = cell
    inside = [
        key
        for key in sorted(merged, reverse=span.newest_first)
        if (span.above is None or key > span.above) and (span.below is None or key < span.below)
    ]
    live = [key for key in inside if merged[key].expires_ms != 50][: span.limit]
    rows = made.rows((0, 2), "p", span, now_ms=60)
    assert list(rows.items()) == [(key, merged[key]) for key in live]
