"""Rules D11 and D12 of docs/protocols/delivery.md, the arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import ids
from rookery_server.domain.events import WINDOW_MS
from rookery_server.store.interface import WindowPrint
from rookery_server.workers.audits import Prints

AGES = (30, 300, 4 * 3600, 24 * 3600)
WINDOW = 28_333_333
START = WINDOW * WINDOW_MS
END = START + WINDOW_MS


def id_at(ms: int, sequence: int = 0) -> int:
    return ids.compose(ms, 1, sequence)


def prints(saved: dict[int, WindowPrint] | None = None, checkpoint_ms: int = START) -> Prints:
    return Prints(saved or {}, checkpoint_ms, AGES)


def with_events(*event_ids: int) -> Prints:
    made = prints()
    for event_id in event_ids:
        made.note(event_id)
    made.absorb(END, END)
    return made


def test_delivery_D13_an_id_enters_its_print_when_the_checkpoint_is_past_it() -> None:
    made = prints()
    early, late = id_at(START + 10), id_at(START + 20_000)
    made.note(early)
    made.note(late)
    made.absorb(START + 10_000, END)
    assert made.unsaved() == [WindowPrint(WINDOW, 1, early, 0)]
    made.absorb(START + 20_000, END)
    assert made.unsaved() == [WindowPrint(WINDOW, 1, early, 0)], "the checkpoint itself is not below the checkpoint"
    made.absorb(START + 20_001, END)
    assert made.unsaved() == [WindowPrint(WINDOW, 2, early ^ late, 0)]


def test_delivery_D12_a_late_event_enters_its_print_later() -> None:
    made = prints()
    made.note(id_at(START), not_before_ms=END + 60_000)
    made.absorb(END, END)
    assert made.unsaved()[0].count == 0
    assert made.due(END + 10**6, END + 59_999, (), 10) == [], "what is known to be missing proves nothing"
    made.absorb(END, END + 60_000)
    assert made.unsaved()[0].count == 1


def test_delivery_D11_quiet_windows_have_prints_too() -> None:
    made = prints()
    made.absorb(END + 3 * WINDOW_MS, END)
    assert made.unsaved() == [WindowPrint(WINDOW + n, 0, 0, 0) for n in range(5)]


def test_delivery_D11_of_a_long_absence_only_what_can_still_be_audited_is_begun() -> None:
    made = prints()
    now = START + 10 * 86_400_000
    made.absorb(now, now)
    assert len(made.unsaved()) == pytest.approx(1441, abs=2)


@pytest.mark.parametrize(
    ("age_s", "rounds"), [(29.9, 0), (30, 1), (299, 1), (300, 2), (4 * 3600, 3), (24 * 3600 - 1, 3), (24 * 3600, 4)]
)
def test_delivery_D11_a_window_is_due_once_a_round(age_s: float, rounds: int) -> None:
    made, now = with_events(id_at(START)), END + int(age_s * 1000)
    due = made.due(END, now, (), 10)
    assert due == ([(WINDOW, rounds)] if rounds else [])
    for window, round_ in due:
        assert made.judge(window, round_, {id_at(START)}).equal
    assert made.due(END, now, (), 10) == []


def test_delivery_D11_not_before_the_checkpoint_is_past_it_nor_while_events_are_open() -> None:
    made, now = with_events(id_at(START)), END + 30_000
    assert made.due(END - 1, now, (), 10) == []
    assert made.due(END, now, [id_at(START + 5)], 10) == []
    assert made.due(END, now, [id_at(END + 5)], 10) == [(WINDOW, 1)]


def test_delivery_D11_no_more_than_asked_for() -> None:
    made = prints()
    made.absorb(END + 100 * WINDOW_MS, END)
    due = made.due(END + 100 * WINDOW_MS, END + 200 * WINDOW_MS, (), 7)
    assert [window for window, _ in due] == [WINDOW + n for n in range(7)]


@given(st.sets(st.integers(0, 999), max_size=20), st.integers(0, 999))
def test_delivery_D11_one_event_more_is_known_by_name(known: set[int], extra: int) -> None:
    applied = {id_at(START, n) for n in known - {extra}}
    verdict = with_events(*applied).judge(WINDOW, 1, applied | {id_at(START, extra)})
    assert not verdict.equal
    assert verdict.missing == {id_at(START, extra)}


@given(st.sets(st.integers(0, 999), max_size=20), st.sets(st.integers(0, 999), max_size=20))
def test_delivery_D11_a_difference_brings_back_all_that_is_missing(known: set[int], later: set[int]) -> None:
    applied = {id_at(START, n) for n in known}
    found = applied | {id_at(START, n) for n in later}
    verdict = with_events(*applied).judge(WINDOW, 1, found)
    assert verdict.equal == (applied == found)
    assert verdict.missing >= found - applied


def test_delivery_D11_after_a_difference_the_window_is_audited_again() -> None:
    made = with_events(id_at(START))
    found = {id_at(START), id_at(START, 1), id_at(START, 2)}
    assert made.judge(WINDOW, 1, found).missing == found
    for event_id in found:
        made.note(event_id)
    made.absorb(END, END + 30_000)
    assert made.due(END, END + 30_000, (), 10) == [(WINDOW, 1)]
    assert made.judge(WINDOW, 1, found).equal


def test_what_is_saved_is_not_saved_again_unless_it_changed() -> None:
    made = with_events(id_at(START))
    unsaved = made.unsaved()
    made.note(id_at(START, 1))
    made.absorb(END, END)
    made.saved(unsaved)
    assert [one.count for one in made.unsaved()] == [2], "changed while it was being saved"
    made.saved(made.unsaved())
    assert made.unsaved() == []


def test_a_window_with_all_its_audits_is_forgotten_once_saved() -> None:
    made, now = with_events(id_at(START)), END + 24 * 3_600_000
    assert made.judge(WINDOW, 4, {id_at(START)}).equal
    made.saved(made.unsaved())
    assert made.due(END, now, (), 10) == []


def test_a_successor_goes_on_with_what_was_saved() -> None:
    first = prints()
    for n in range(3):
        first.note(id_at(START + 1000 * n))
    first.absorb(START + 1500, START + 10_000)
    second = prints({one.window: one for one in first.unsaved()}, checkpoint_ms=START + 1500)
    second.note(id_at(START + 2000))
    second.absorb(END, END)
    assert second.judge(WINDOW, 1, {id_at(START + 1000 * n) for n in range(3)}).equal
