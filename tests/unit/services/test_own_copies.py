"""Own copies: good for a second from before their read; newer ones stay; never too many."""

from __future__ import annotations

import pytest

from rookery_server.domain.limits import COPY_LIFE_S
from rookery_server.services.own_copies import OwnCopies
from tests.support.hand_clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock(mono=0.0)


def test_a_copy_lives_a_second_from_before_its_read(clock: HandClock) -> None:
    copies: OwnCopies[str] = OwnCopies(clock, 10)
    clock.advance(COPY_LIFE_S / 2)
    copies.keep(1, "read slowly", began=0.0)
    copies.keep(2, "read at once", began=COPY_LIFE_S / 2)
    assert copies.of([1, 2, 3]) == {1: "read slowly", 2: "read at once"}
    clock.advance(COPY_LIFE_S / 2)
    assert copies.of([1, 2, 3]) == {2: "read at once"}
    clock.advance(COPY_LIFE_S / 2)
    assert copies.of([1, 2, 3]) == {}


def test_what_is_empty_or_false_is_a_copy_too(clock: HandClock) -> None:
    copies: OwnCopies[int] = OwnCopies(clock, 10)
    copies.keep(1, 0, clock.monotonic())
    assert copies.of([1]) == {1: 0}


def test_account_A10_an_older_read_that_ends_later_replaces_nothing(clock: HandClock) -> None:
    copies: OwnCopies[str] = OwnCopies(clock, 10)
    copies.keep(1, "new", began=0.0)
    copies.keep(1, "old", began=-COPY_LIFE_S / 2)
    assert copies.of([1]) == {1: "new"}
    copies.keep(1, "newest", began=0.1)
    assert copies.of([1]) == {1: "newest"}


def test_beyond_the_most_the_one_kept_longest_ago_goes(clock: HandClock) -> None:
    copies: OwnCopies[int] = OwnCopies(clock, 3)
    for id_ in range(3):
        copies.keep(id_, id_, began=0.0)
    copies.keep(0, 10, began=0.1)
    copies.keep(3, 3, began=0.1)
    assert copies.of(range(4)) == {0: 10, 2: 2, 3: 3}
