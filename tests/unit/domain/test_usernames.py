"""Who may be called what."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import InvalidText
from rookery_server.domain.limits import USERNAME_CHARS
from rookery_server.domain.usernames import RESERVED, Username, parse_username, username_key

GOOD = ["a", "Z", "0", "_", "bob", "Bob_99", "12345", "__x__", "x" * USERNAME_CHARS, "administrative", "rookeries"]
BAD = [
    "",
    " ",
    "x" * (USERNAME_CHARS + 1),
    "bob ",
    " bob",
    "bob\n",
    "@bob",
    "bob-by",
    "bob.by",
    "bob by",
    "bоb",  # a Cyrillic o
    "bób",
    "ｂｏｂ",
    "bob١",
    "ſam",  # would fold to "sam"
    "日本",
    "😀",
    "bob\x00",
    "x" * 1_000_000,
]


@pytest.mark.parametrize("name", GOOD)
def test_kept_as_written_and_unique_without_case(name: str) -> None:
    assert parse_username(name) == Username(name, name.lower())
    assert parse_username(name.upper()).key == parse_username(name.lower()).key


@pytest.mark.parametrize("name", BAD)
def test_refused_by_shape(name: str) -> None:
    for check in (parse_username, username_key):
        with pytest.raises(InvalidText) as caught:
            check(name, "user.name")
        (violation,) = caught.value.violations
        assert (violation.field, violation.rule) == ("user.name", "username_shape")


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_words_are_nobodys_in_any_case_and_with_underscores(word: str) -> None:
    variants = [word, word.upper(), word.title(), f"_{word}", f"{word}__", "_".join(word)]
    for variant in variants:
        if len(variant) <= USERNAME_CHARS:
            with pytest.raises(InvalidText) as caught:
                parse_username(variant)
            assert [violation.rule for violation in caught.value.violations] == ["reserved"]


def test_a_reserved_word_can_be_looked_up() -> None:
    assert username_key("Admin") == "admin"


def test_reserved_words_are_possible_names() -> None:
    assert all(username_key(word) == word for word in RESERVED)
