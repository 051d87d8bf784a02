"""Limits that must fit one another."""

from __future__ import annotations

from rookery_server.domain.limits import FOLLOWER_PAGE, FOLLOWING_BASE, ROWS_A_PAGE


def test_whom_an_ordinary_account_follows_is_one_read_however_small_the_pages_of_a_fan_out_are() -> None:
    assert FOLLOWER_PAGE < FOLLOWING_BASE <= ROWS_A_PAGE
