"""What may stand in a profile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain import limits
from rookery_server.domain.errors import InvalidText
from rookery_server.domain.models import Profile
from rookery_server.domain.profiles import parse_profile

FULL = Profile("Bob 😀", "Birds,\nmostly.", "Zürich", "https://example.com/bob")
LIMITS = {
    "display_name": limits.DISPLAY_NAME_CHARS,
    "bio": limits.BIO_CHARS,
    "location": limits.LOCATION_CHARS,
}


def test_everything_may_be_empty() -> None:
    assert parse_profile(Profile()) == Profile()


def test_kept_as_written() -> None:
    assert parse_profile(FULL) == FULL


def test_kept_in_nfc_and_counted_in_nfc() -> None:
    assert parse_profile(Profile(location="e\u0301" * 30)) == Profile(location="é" * 30)


@pytest.mark.parametrize(("field", "limit"), LIMITS.items())
def test_length_at_its_limit_and_one_above(field: str, limit: int) -> None:
    assert getattr(parse_profile(Profile(**{field: "日" * limit})), field) == "日" * limit
    for size in (limit + 1, 1_000_000):
        assert _broken(Profile(**{field: "x" * size})) == [(f"profile.{field}", "too_long")]


def test_url_at_its_limit_and_one_above() -> None:
    link = "https://example.com/".ljust(limits.URL_CHARS, "x")
    assert parse_profile(Profile(url=link)).url == link
    assert _broken(Profile(url=link + "x")) == [("profile.url", "too_long")]


@pytest.mark.parametrize("field", LIMITS)
@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("a\x00b", "control_character"),
        ("a\tb", "control_character"),
        ("a\r\nb", "control_character"),
        ("a\x9fb", "control_character"),
        ("a\u202eb", "direction_override"),
        ("a\u2067b", "unclosed_isolate"),
        ("a\ud800", "lone_surrogate"),
        ("\ufeffa", "byte_order_mark"),
        ("a\uffff", "noncharacter"),
        ("a" + "\u0323" * 20, "combining_marks"),
        ("  ", "blank"),
        ("\u200b", "blank"),
        ("\u3164", "blank"),
    ],
)
def test_characters_that_are_refused(field: str, raw: str, rule: str) -> None:
    assert _broken(Profile(**{field: raw})) == [(f"profile.{field}", rule)]


@pytest.mark.parametrize("field", ["display_name", "location"])
def test_a_newline_only_in_the_bio(field: str) -> None:
    assert _broken(Profile(**{field: "a\nb"})) == [(f"profile.{field}", "control_character")]
    assert parse_profile(Profile(bio="a\nb")).bio == "a\nb"


def test_every_broken_rule_is_named_at_once() -> None:
    assert _broken(Profile("x" * 51, "\x00", "\u202e", "ftp://x.com")) == [
        ("profile.display_name", "too_long"),
        ("profile.bio", "control_character"),
        ("profile.location", "direction_override"),
        ("profile.url", "link_scheme"),
    ]


@given(st.builds(Profile, st.text(max_size=60), st.text(max_size=170), st.text(max_size=40), st.just("")))
def test_parsing_again_changes_nothing(profile: Profile) -> None:
    try:
        parsed = parse_profile(profile)
    except InvalidText:
        return
    assert parse_profile(parsed) == parsed


def _broken(profile: Profile) -> list[tuple[str, str]]:
    with pytest.raises(InvalidText) as caught:
        parse_profile(profile)
    return [(violation.field, violation.rule) for violation in caught.value.violations]
