"""How agreed bounds are changed: rule T11 of docs/protocols/tier.md.  The row itself: the integration tests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import pytest

from rookery_server.domain.clock import SystemClock
from rookery_server.domain.fanout import Crossing
from rookery_server.store.cassandra import agreement
from rookery_server.store.cassandra.agreement import Agreement, NotAgreed
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import Statement

NOW_MS = 1_700_000_000_000
HOUR_S = 3600
SHIPPED = Agreement(Crossing())


def test_tier_T11_what_is_stored_is_what_was_agreed() -> None:
    agreed = Agreement(Crossing(announce_s=9_000.5, relations_life_s=1_800), NOW_MS)
    assert Agreement.from_json(agreed.to_json()) == agreed


def test_tier_T11_how_often_rows_are_read_is_not_agreed() -> None:
    assert Agreement.from_json(Agreement(Crossing(directory_s=1)).to_json()) == SHIPPED


def test_tier_T11_notice_is_lengthened_before_what_needs_it() -> None:
    longer = Crossing(announce_s=6 * HOUR_S, relations_life_s=3 * HOUR_S)
    with pytest.raises(NotAgreed, match="first agree on a longer announce_s"):
        SHIPPED.changed(longer, NOW_MS)
    step = SHIPPED.changed(replace(longer, relations_life_s=HOUR_S), NOW_MS)
    assert step.changed(longer, NOW_MS) == Agreement(longer)


def test_tier_T11_notice_is_shortened_after_the_longer_relations_have_run_out() -> None:
    shorter = Crossing(announce_s=HOUR_S, relations_life_s=HOUR_S / 2)
    with pytest.raises(NotAgreed, match="shorter other times alone"):
        SHIPPED.changed(shorter, NOW_MS)
    step = SHIPPED.changed(replace(shorter, announce_s=2 * HOUR_S), NOW_MS)
    with pytest.raises(NotAgreed, match="for 1 s more: wait"):
        step.changed(shorter, NOW_MS + (HOUR_S - 1) * 1000)
    assert step.changed(shorter, NOW_MS + HOUR_S * 1000).bounds == shorter


def test_tier_T11_a_shorter_rebuild_age_leaves_nothing_behind() -> None:
    step = SHIPPED.changed(Crossing(rebuild_after_s=HOUR_S), NOW_MS)
    shorter = Crossing(rebuild_after_s=HOUR_S, merge_s=2 * HOUR_S)
    assert step.changed(shorter, NOW_MS).bounds == shorter


def test_tier_T11_bounds_that_are_not_sound_are_never_agreed_upon() -> None:
    with pytest.raises(NotAgreed, match="announce_s must be longer"):
        SHIPPED.changed(Crossing(announce_s=HOUR_S), NOW_MS)


class OneRow:
    """Of `settings`, by compare-and-set: compared to the letter, as the store does."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    async def execute(self, statement: Statement, values: tuple[str, ...]) -> list[dict[str, str]]:
        return [] if self.text is None else [{"value": self.text}]

    async def compare_and_set(self, statement: Statement, values: tuple[str, ...]) -> None:
        if statement is agreement.SETTING_FIX:
            self.text = self.text or values[1]
        elif self.text == values[2]:
            self.text = values[0]


async def test_tier_T11_a_change_is_compared_with_what_is_stored_however_it_was_written() -> None:
    row = OneRow(json.dumps({**json.loads(SHIPPED.to_json()), "announce_s": 7200, "merge_s": 691200.000}))
    session, longer = cast(CassandraSession, row), Crossing(announce_s=9_000)
    assert (await agreement.begin(session, longer)).bounds == Crossing()
    for _ in range(2):
        assert (await agreement.change(session, SystemClock(), longer)).bounds == longer
    assert (await agreement.begin(session, Crossing())).bounds == longer
