"""The whole of `parse_text`: what is refused and by which rule, what it weighs, where things are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery_server.domain.errors import InvalidText
from rookery_server.domain.limits import COMBINING_RUN, EMOJI_PARTS, TWEET_RAW_BYTES, TWEET_WEIGHT, URL_WEIGHT
from rookery_server.domain.models import Entity
from rookery_server.domain.text import Text, parse_text

FAMILY = "👨‍👩‍👧‍👦"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
KISS = "🧑🏻‍❤️‍💋‍🧑🏿"
RTL_MARKED = "\u2067שלום\u2069"

WEIGHTS = [
    ("a", 1),
    ("hello world", 11),
    ("two\nlines", 9),
    ("é", 1),
    ("e\u0301", 1),  # NFC makes one of two
    ("\u0958", 2),  # a composition exclusion: NFC makes two of one
    ("Ünïcödé", 7),
    ("привет", 6),
    ("γειά", 4),
    ("שלום", 4),
    ("مرحبا", 5),
    ("नमस्ते", 6),
    ("สวัสดี", 6),
    ("ა", 1),  # Georgian U+10D0
    ("\u10ff", 1),  # last of the first range, 4351
    ("\u1100", 2),  # first behind it
    ("日本語", 6),
    ("中", 2),
    ("ひらがな", 8),
    ("カタカナ", 8),
    ("한국어", 6),
    ("한", 2),  # conjoining letters compose to one syllable
    ("a日b", 4),
    ("\U00010000", 2),
    ("𝒳", 2),
    ("x\u2000y", 3),  # 8192
    ("x\u200dy", 3),  # 8205
    ("x\u200ey", 4),  # 8206, between the ranges
    ("x\u200fy", 4),
    ("x\u2010y", 3),  # 8208
    ("x\u201fy", 3),  # 8223
    ("x\u2020y", 4),  # 8224
    ("x\u2031y", 4),
    ("x\u2032y", 3),  # 8242
    ("x\u2037y", 3),  # 8247
    ("x\u2038y", 4),
    ("“quoted”", 8),
    ("dash—dash", 9),
    ("wait…", 6),  # U+2026 is outside the light ranges
    ("€5", 3),
    ("™", 2),
    ("©", 1),
    ("©\ufe0f", 2),
    ("®", 1),
    ("®\ufe0f", 2),
    ("1", 1),
    ("1️⃣", 2),
    ("1\u20e3", 2),
    ("#️⃣", 2),
    ("*️⃣", 2),
    ("12️⃣", 3),
    ("😀", 2),
    ("😀😀", 4),
    ("a😀b", 4),
    ("☃", 2),
    ("❤️", 2),
    ("❤", 2),
    ("❤\ufe0e", 4),  # text presentation: a symbol and a selector
    ("👍🏽", 2),
    ("☝🏽", 2),
    ("☝️🏽", 2),
    ("😀🏽", 4),  # takes no tone: two pictures
    ("🏽", 2),
    (FAMILY, 2),
    ("👩🏽‍🚀", 2),
    ("🏳️‍🌈", 2),
    ("🏴‍☠️", 2),
    (KISS, 2),
    ("🐻‍❄️", 2),
    ("🇨🇭", 2),
    ("🇨🇭🇩🇪", 4),
    ("🇨🇭🇩", 4),
    ("🇨", 2),
    (SCOTLAND, 2),
    ("\U0001f3f4\U000e0067", 4),  # a tag sequence without its end is none
    ("👨\u200d", 3),  # a joiner that joins nothing
    ("a\u200db", 3),
    ("👨\u200da", 4),
    ("\u200d".join("👨" * EMOJI_PARTS), 2),
    ("\u200d".join("👨" * (EMOJI_PARTS + 1)), 5),
    ("🫨🪿", 4),
    ("http://a.co", 23),
    ("https://example.com/" + "x" * 500, 23),
    ("example.com", 23),
    ("see example.com now", 4 + 23 + 4),
    ("example.com example.org", 47),
    ("https://example.com.", 24),
    ("(https://example.com)", 25),
    ("見てexample.comです", 4 + 23 + 4),
    ("http://localhost", 16),
    (RTL_MARKED, 8),
    ("x" * TWEET_WEIGHT, TWEET_WEIGHT),
    ("日" * 140, 280),
    ("日" * 139 + FAMILY, 280),
    ("x" * 278 + FAMILY, 280),
    (FAMILY * 100, 200),
    ("x" * 256 + " x.co", 280),
    ("a\u0301" * 280, 280),
]


@pytest.mark.parametrize(("raw", "weight"), WEIGHTS)
def test_weight(raw: str, weight: int) -> None:
    assert parse_text(raw).weight == weight


REFUSED = [
    ("", "empty"),
    (" ", "empty"),
    ("\n\n", "empty"),
    (" \u00a0\u2003\u3000", "empty"),
    ("\u200b", "empty"),
    ("\u2060\u00ad\u200d", "empty"),
    ("\u3164", "empty"),
    ("\u2800", "empty"),
    ("\u115f\u1160", "empty"),
    ("\ufe0f", "empty"),
    ("\u2066\u2069", "empty"),
    ("x" * 281, "too_long"),
    ("日" * 140 + "x", "too_long"),
    ("x" * 279 + FAMILY, "too_long"),
    ("x" * 257 + " x.co", "too_long"),
    ("e\u0301" * 281, "too_long"),
    ("x" * TWEET_RAW_BYTES, "too_long"),
    ("x" * (TWEET_RAW_BYTES + 1), "too_large"),
    ("日" * 1365 + "xx", "too_large"),
    ("https://example.com/" + "x" * TWEET_RAW_BYTES, "too_large"),
    ("\ud800" * 2000, "too_large"),
    ("a\x00b", "control_character"),
    ("a\tb", "control_character"),
    ("a\rb", "control_character"),
    ("a\x1b[31mb", "control_character"),
    ("a\x7fb", "control_character"),
    ("a\x80b", "control_character"),
    ("a\x85b", "control_character"),
    ("a\x9fb", "control_character"),
    ("a\u202ab", "direction_override"),
    ("a\u202bb", "direction_override"),
    ("a\u202cb", "direction_override"),
    ("a\u202db", "direction_override"),
    ("a\u202eb", "direction_override"),
    ("a\u2066b", "unclosed_isolate"),
    ("a\u2067b", "unclosed_isolate"),
    ("a\u2068b", "unclosed_isolate"),
    ("a\u2069b", "unclosed_isolate"),
    ("\u2069a\u2066", "unclosed_isolate"),
    ("\u2066\u2067a\u2069", "unclosed_isolate"),
    ("a\ud800b", "lone_surrogate"),
    ("a\udfffb", "lone_surrogate"),
    ("\ud83d\ude00", "lone_surrogate"),  # a pair is two lone ones in a Python string
    ("\ufeffa", "byte_order_mark"),
    ("a\ufeff", "byte_order_mark"),
    ("a\ufffeb", "noncharacter"),
    ("a\uffffb", "noncharacter"),
    ("a" + "\u0323" * (COMBINING_RUN + 1), "combining_marks"),
    ("a" + "\u0301" * 1000, "combining_marks"),
    ("\u0344" * (COMBINING_RUN // 2 + 1) + "x", "combining_marks"),  # each becomes two marks in NFC
]


@pytest.mark.parametrize(("raw", "rule"), REFUSED)
def test_refused_by_the_rule_that_is_named_and_nothing_echoed(raw: str, rule: str) -> None:
    with pytest.raises(InvalidText) as caught:
        parse_text(raw, "tweet.text")
    (violation,) = caught.value.violations
    assert (violation.field, violation.rule) == ("tweet.text", rule)
    assert violation.text.isascii()


ACCEPTED = [
    "a\nb",
    RTL_MARKED,
    "\u2066a\u2067b\u2069c\u2069",
    "a" + "\u0323" * COMBINING_RUN,
    "\u200bx",
    "กำปั้น",
    "Z͑ͫ̓ͪ̂ͫ̽",
    "\ufffd",
]


@pytest.mark.parametrize("raw", ACCEPTED)
def test_accepted_unchanged_but_for_nfc(raw: str) -> None:
    assert parse_text(raw).text == unicodedata.normalize("NFC", raw)


def test_nfd_and_nfc_are_one_text() -> None:
    assert parse_text(unicodedata.normalize("NFD", "Ångström café 한국")) == parse_text("Ångström café 한국")


def test_nfc_may_grow_past_the_size_that_was_sent() -> None:
    # U+1D160 has 4 bytes and decomposes into three characters of 4 bytes.
    url = "https://example.com/" + "x" * 3000
    with pytest.raises(InvalidText) as caught:
        parse_text(f"{url} " + "\U0001d160" * 110)
    assert caught.value.violations[0].rule == "too_large"


def test_entities_inside_a_url_are_part_of_it() -> None:
    parsed = parse_text("https://example.com/@bob/#tag @bob #tag")
    assert [entity.value for entity in parsed.urls] == ["https://example.com/@bob/#tag"]
    assert [(e.value, e.char_start) for e in parsed.mentions] == [("bob", 30)]
    assert [(e.value, e.char_start) for e in parsed.hashtags] == [("tag", 35)]


def test_ranges_in_bytes_and_in_code_points() -> None:
    parsed = parse_text("日本 @bob 😀 #été $TSLA https://example.com/é!")
    assert [(e.kind, e.value, e.byte_start, e.byte_end, e.char_start, e.char_end) for e in _all(parsed)] == [
        ("mention", "bob", 7, 11, 3, 7),
        ("hashtag", "été", 17, 23, 10, 14),
        ("cashtag", "TSLA", 24, 29, 15, 20),
        ("url", "https://example.com/é", 30, 52, 21, 42),
    ]


def test_ranges_are_those_of_the_nfc_text() -> None:
    (mention,) = parse_text("e\u0301 @bob").mentions
    assert (mention.char_start, mention.char_end, mention.byte_start, mention.byte_end) == (2, 6, 3, 7)


def _all(parsed: Text) -> list[Entity]:
    entities = [*parsed.mentions, *parsed.hashtags, *parsed.cashtags, *parsed.urls]
    return sorted(entities, key=lambda entity: entity.char_start)


FRAGMENTS = st.sampled_from(
    [
        *"@＠#＃$&.,:;/?!()[]'\"-_+~*% \nab1Zé日本の한",
        "@bob",
        "#tag",
        "#日本",
        "$AAPL",
        "http://",
        "https://",
        "example.com",
        "www.",
        ".co.jp",
        "пример.рф",
        "xn--p1ai",
        FAMILY,
        "👍🏽",
        "1️⃣",
        "🇨🇭",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "e\u0301",
        "\u2066",
        "\u2069",
        "\u1100",
        "\u1161",
    ]
)
TEXTS = st.one_of(st.lists(FRAGMENTS, max_size=30).map("".join), st.text(max_size=300))


def _parse_or_none(raw: str) -> Text | None:
    try:
        return parse_text(raw)
    except InvalidText:
        return None


@given(TEXTS)
def test_parsing_what_was_parsed_changes_nothing(raw: str) -> None:
    if (parsed := _parse_or_none(raw)) is not None:
        assert parse_text(parsed.text) == parsed
        assert unicodedata.is_normalized("NFC", parsed.text)


@given(TEXTS)
def test_weight_is_positive_and_within_what_its_parts_allow(raw: str) -> None:
    if (parsed := _parse_or_none(raw)) is not None:
        assert 0 < parsed.weight <= min(TWEET_WEIGHT, 2 * len(parsed.text) + URL_WEIGHT * len(parsed.urls))


@given(TEXTS)
def test_ranges_cut_out_exactly_the_entity(raw: str) -> None:
    parsed = _parse_or_none(raw)
    if parsed is None:
        return
    encoded = parsed.text.encode()
    last_end = 0
    for entity in _all(parsed):
        written = parsed.text[entity.char_start : entity.char_end]
        assert encoded[entity.byte_start : entity.byte_end].decode() == written
        assert written == entity.value if entity.kind == "url" else written[1:] == entity.value
        assert entity.char_start >= last_end
        last_end = entity.char_end
    for entities in (parsed.mentions, parsed.hashtags, parsed.cashtags, parsed.urls):
        assert list(entities) == sorted(entities, key=lambda entity: entity.char_start)
