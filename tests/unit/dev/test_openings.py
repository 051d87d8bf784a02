"""How long claims and hits were away, from openings that a test makes up.  Seconds are counted from the blow."""

from __future__ import annotations

import pytest

from rookery_server.dev.openings import BEHIND_S, OPENINGS_AT_LEAST, WINDOW_S, Calm, Opening, Openings

PACE_S = 0.04
BLOW = 1000.0


def openings(until: float, *misses: tuple[float, float], since: float = -5.0, claim_s: float | None = 6.0) -> Openings:
    """One each 40 ms, all hits but those of [from, to)."""
    made = Openings()
    for at in range(round((until - since) / PACE_S)):
        s = since + at * PACE_S
        hit = not any(first <= s < last for first, last in misses)
        made.all.append(Opening(BLOW + s, hit, claim_s))
    return made


def test_the_ratio_is_that_of_the_window() -> None:
    made = openings(10.0, (9.0, 10.0))
    assert made.hit_ratio(BLOW + 9.0) == pytest.approx(1.0, abs=0.03)
    assert made.hit_ratio(BLOW + 10.0) == pytest.approx(0.5, abs=0.03)


def test_too_few_openings_tell_no_ratio() -> None:
    few = Openings([Opening(BLOW + at / 100, True, 6.0) for at in range(OPENINGS_AT_LEAST - 1)])
    assert few.hit_ratio(BLOW + 1.0) is None
    few.all.append(Opening(BLOW + 0.9, True, 6.0))
    assert few.hit_ratio(BLOW + 1.0) == 1.0


def test_hits_that_never_went_were_never_away() -> None:
    away = openings(10.0, (3.0, 3.0 + 2 * PACE_S)).hits_away(BLOW)  # two of fifty
    assert away.back_s == 0.0
    assert away.worst == pytest.approx(0.96)


def test_hits_are_back_when_the_window_holds_enough_of_them_again() -> None:
    away = openings(20.0, (0.5, 7.0)).hits_away(BLOW)
    assert 7.0 < away.back_s <= 7.0 + WINDOW_S
    assert away.worst == 0.0


def test_hits_that_go_once_more_are_back_after_the_second_time() -> None:
    assert 12.0 < openings(20.0, (0.5, 3.0), (11.0, 12.0)).hits_away(BLOW).back_s <= 12.0 + WINDOW_S


def test_what_was_before_the_blow_is_not_its_doing() -> None:
    assert openings(10.0, (-5.0, -3.0)).hits_away(BLOW).back_s == 0.0


def test_a_stretch_with_few_openings_is_no_hit_ratio() -> None:
    made = openings(4.0)
    made.all += openings(20.0, since=8.0).all
    away = made.hits_away(BLOW)
    assert away.worst is None
    assert 8.0 < away.back_s < 8.0 + WINDOW_S


def test_claims_are_back_after_the_last_that_was_old_or_nothing() -> None:
    made = openings(20.0)
    for at, age_s in ((2.0, None), (9.0, BEHIND_S + 0.1), (11.0, BEHIND_S)):
        made.all.append(Opening(BLOW + at, True, age_s))
    made.all.sort(key=lambda one: one.at)
    away = made.claims_away(BLOW)
    assert (away.back_s, away.worst) == (9.0, None)


def test_claims_that_never_went_were_never_away() -> None:
    away = openings(20.0).claims_away(BLOW)
    assert (away.back_s, away.worst) == (0.0, 6.0)


@pytest.mark.parametrize(
    ("made", "calm"),
    [
        (openings(10.0), Calm(True, True)),
        (openings(10.0, (0.0, 5.0)), Calm(True, True)),
        (openings(10.0, (5.0, 7.9)), Calm(True, False)),
        (openings(10.0, claim_s=11.0), Calm(False, True)),
        (openings(10.0, claim_s=None), Calm(False, True)),
        (openings(10.0, since=8.5), Calm(False, False)),
        (openings(7.0), Calm(False, False)),
        (Openings(), Calm(False, False)),
    ],
    ids=["calm", "long ago", "just now", "old claims", "no claims", "too short", "nobody since", "nobody"],
)
def test_calm_is_two_seconds_of_both(made: Openings, calm: Calm) -> None:
    assert made.calm(BLOW + 8.0, BLOW + 10.0) == calm
    assert bool(calm) is (calm.claims and calm.hits)


def test_what_is_forgotten_is_asked_for_no_more() -> None:
    made = openings(10.0)
    made.forget(BLOW + 4.0)
    assert made.all[0].at == pytest.approx(BLOW + 4.0, abs=PACE_S)
    assert made.hits_away(BLOW + 6.0).back_s == 0.0
