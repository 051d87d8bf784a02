"""Tokens: what was signed comes back, and nothing else is believed."""

from __future__ import annotations

import base64
import dataclasses
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain.errors import InvalidToken
from rookery_server.domain.tokens import (
    ANY_READ,
    MAX_KEY_ID,
    SECRET_BYTES,
    ConsistencyToken,
    NewerCursor,
    PageCursor,
    Scope,
    TokenSigner,
)

OLD, NEW = b"o" * SECRET_BYTES, b"n" * SECRET_BYTES
SIGNER = TokenSigner({1: OLD}, signing=1)
HOME = Scope("/rookery.v1.TimelineService/GetHomeTimeline", 42, "replies=1")
INT64 = st.integers(-(2**63), 2**63 - 1)
ALPHABET = string.ascii_letters + string.digits + "-_"
GOLDEN_PAGE = "AQEBGbYGBFYcAAAAAAAAAAAABwAAAAAAAAADc2MC_QPWxpmV6KN1jIf9Ag"
GOLDEN_NEWER = "AQIBGbYGBFYcAAAAAAGS7HXcADNPz8bNLdIDciUcanvkYus"
GOLDEN_CONSISTENCY = "AQMBAAABkux13AAEAmVkZ2UAAAAAAAAAAQAAAAAAAAACVduxxxNGmVweOgHhb1CFgw"


@given(INT64, INT64, INT64)
def test_a_page_cursor_comes_back(last_id: int, floor_id: int, hint: int) -> None:
    cursor = PageCursor(last_id, floor_id, hint)
    assert SIGNER.page_cursor(SIGNER.sign(cursor, HOME), HOME) == cursor


@given(INT64, INT64)
def test_a_newer_cursor_comes_back(newest_id: int, through_ms: int) -> None:
    cursor = NewerCursor(newest_id, through_ms)
    assert SIGNER.newer_cursor(SIGNER.sign(cursor, HOME), HOME) == cursor


@given(st.sampled_from(["tweet", "edge", "x" * 32, ""]), st.lists(INT64, max_size=8), INT64)
def test_a_consistency_token_comes_back(kind: str, ids: list[int], event_ms: int) -> None:
    token = ConsistencyToken(kind, tuple(ids), event_ms)
    assert SIGNER.consistency(SIGNER.sign(token, ANY_READ)) == token


def test_tokens_given_out_by_the_first_release_work_for_ever() -> None:
    assert SIGNER.page_cursor(GOLDEN_PAGE, HOME) == PageCursor(1852674912403849216, 7, 3)
    assert SIGNER.newer_cursor(GOLDEN_NEWER, HOME) == NewerCursor(1852674912403849216, 1730544000000)
    assert SIGNER.consistency(GOLDEN_CONSISTENCY) == ConsistencyToken("edge", (1, 2), 1730544000000)


def test_tokens_travel_in_addresses_and_are_short() -> None:
    token = SIGNER.sign(PageCursor(2**63 - 1, 2**63 - 1, 800), HOME)
    assert set(token) <= set(ALPHABET)
    assert len(token) < 64


@pytest.mark.parametrize(
    "value",
    [PageCursor(9, 8, 7), NewerCursor(9, 8), ConsistencyToken("tweet", (1, 2), 3)],
    ids=lambda v: type(v).__name__,
)
def test_every_bit_counts(value: PageCursor | NewerCursor | ConsistencyToken) -> None:
    scope = ANY_READ if isinstance(value, ConsistencyToken) else HOME
    token = SIGNER.sign(value, scope)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        for bit in range(8):
            changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            _refused(base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), scope)


def test_every_character_counts() -> None:
    # Also those whose change decodes to the same bytes: the unused bits at the end.
    token = SIGNER.sign(NewerCursor(9, 8), HOME)
    for at, was in enumerate(token):
        for character in ALPHABET:
            if character != was:
                _refused(token[:at] + character + token[at + 1 :], HOME)


def test_cut_grown_and_foreign_strings_are_refused() -> None:
    token = SIGNER.sign(PageCursor(9), HOME)
    for cut in range(len(token)):
        _refused(token[:cut], HOME)
    others = (
        token + "A",
        token + "=",
        token + "==",
        " " + token,
        token + "\n",
        token[:4] + "!" + token[4:],
        token * 2,
        "é" + token,
        "\ud800",
        "A" * 10_000,
        "not a token",
        "=" * 9,
    )
    for other in others:
        _refused(other, HOME)


@given(st.text(max_size=100))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    _refused(text, HOME)


def test_a_token_of_another_call_is_refused() -> None:
    token = SIGNER.sign(PageCursor(9), HOME)
    for other in (
        dataclasses.replace(HOME, method="/rookery.v1.TimelineService/GetUserTimeline"),
        dataclasses.replace(HOME, subject=43),
        dataclasses.replace(HOME, subject=-42),
        dataclasses.replace(HOME, filter=""),
        dataclasses.replace(HOME, filter="replies=10"),
        ANY_READ,
        # the same characters, divided elsewhere
        Scope(HOME.method + "4", 2, HOME.filter),
        Scope(HOME.method, 4, "2" + HOME.filter),
    ):
        _refused(token, other)


def test_a_token_of_one_kind_is_none_of_another() -> None:
    page = SIGNER.sign(PageCursor(9), ANY_READ)
    newer = SIGNER.sign(NewerCursor(9, 8), ANY_READ)
    consistency = SIGNER.sign(ConsistencyToken("", (1,), 2), ANY_READ)
    for token in (newer, consistency):
        with pytest.raises(InvalidToken):
            SIGNER.page_cursor(token, ANY_READ)
    for token in (page, consistency):
        with pytest.raises(InvalidToken):
            SIGNER.newer_cursor(token, ANY_READ)
    for token in (page, newer):
        with pytest.raises(InvalidToken):
            SIGNER.consistency(token)


def test_keys_are_changed_without_refusing_what_is_out_there() -> None:
    cursor = PageCursor(9)
    before = SIGNER.sign(cursor, HOME)
    both = TokenSigner({1: OLD, 2: NEW}, signing=2)
    after = both.sign(cursor, HOME)
    assert both.page_cursor(before, HOME) == both.page_cursor(after, HOME) == cursor
    # servers learn a key before any of them signs with it
    assert TokenSigner({1: OLD, 2: NEW}, signing=1).page_cursor(after, HOME) == cursor
    with pytest.raises(InvalidToken):
        TokenSigner({2: NEW}, signing=2).page_cursor(before, HOME)  # retired
    with pytest.raises(InvalidToken):
        TokenSigner({1: NEW}, signing=1).page_cursor(before, HOME)  # another installation's key 1


def test_a_refusal_names_the_field_and_nothing_more() -> None:
    with pytest.raises(InvalidToken) as caught:
        SIGNER.page_cursor("secret-looking", HOME, "older")
    (violation,) = caught.value.violations
    assert (violation.field, violation.rule) == ("older", "token")
    assert "secret-looking" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "signing"),
    [({}, 1), ({1: OLD}, 2), ({1: b"short"}, 1), ({MAX_KEY_ID + 1: OLD}, MAX_KEY_ID + 1), ({-1: OLD}, -1)],
)
def test_keys_that_cannot_be_used(keys: dict[int, bytes], signing: int) -> None:
    with pytest.raises(ValueError, match="token key"):
        TokenSigner(keys, signing)


def test_keys_from_a_file() -> None:
    spelled = base64.urlsafe_b64encode(OLD).decode()
    for text in (spelled, spelled.rstrip("=")):
        read = TokenSigner.from_json(json.dumps({"signing": 1, "keys": {"1": text}}))
        assert read.sign(PageCursor(9), HOME) == SIGNER.sign(PageCursor(9), HOME)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "hunter2",
        "{}",
        '{"signing": 1}',
        '{"signing": 1, "keys": ["hunter2"]}',
        '{"signing": 1, "keys": {"one": "hunter2"}}',
        '{"signing": 1, "keys": {"1": "hunter2!"}}',
        '{"signing": 1, "keys": {"1": 7}}',
        '{"signing": 1, "keys": {"1": "hunter2"}}',
        '{"signing": null, "keys": {}}',
    ],
)
def test_a_file_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="token key") as caught:
        TokenSigner.from_json(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_are_never_printed() -> None:
    assert "ooo" not in repr(SIGNER)


def test_a_consistency_token_that_would_not_fit_is_our_bug() -> None:
    for value in (ConsistencyToken("tweet", tuple(range(9)), 1), ConsistencyToken("x" * 33, (), 1)):
        with pytest.raises(ValueError, match="at most"):
            SIGNER.sign(value, ANY_READ)


def _refused(token: str, scope: Scope) -> None:
    readers = (SIGNER.page_cursor, SIGNER.newer_cursor)
    for read in readers:
        with pytest.raises(InvalidToken):
            read(token, scope)
    with pytest.raises(InvalidToken):
        SIGNER.consistency(token)
