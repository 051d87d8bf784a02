"""What a text may not contain, whoever reads it: rules that hold for tweets and for profile fields alike."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from rookery_server.domain.limits import COMBINING_RUN


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was broken: a stable snake_case name, and a sentence for people that quotes nothing of the text."""

    name: str
    text: str


SURROGATE = Rule("lone_surrogate", "must be valid Unicode")
CONTROL = Rule("control_character", "must not contain control characters; a newline is allowed in a tweet and a bio")
DIRECTION = Rule("direction_override", "must not contain the direction controls U+202A to U+202E")
ISOLATE = Rule("unclosed_isolate", "must close every direction isolate (U+2066 to U+2068 by U+2069)")
BYTE_ORDER = Rule("byte_order_mark", "must not contain a byte order mark")
NONCHARACTER = Rule("noncharacter", "must not contain U+FFFE or U+FFFF")
COMBINING = Rule("combining_marks", f"must not put more than {COMBINING_RUN} combining marks on one character")

_BY_CLASS = (
    ("\ud800-\udfff", SURROGATE),
    ("\x00-\x09\x0b-\x1f\x7f-\x9f", CONTROL),
    ("\u202a-\u202e", DIRECTION),
    ("\ufeff", BYTE_ORDER),
    ("\ufffe\uffff", NONCHARACTER),
)
_FORBIDDEN = re.compile("|".join(f"([{characters}])" for characters, _ in _BY_CLASS))
_ISOLATES = re.compile("[\u2066-\u2069]")
_POP = "\u2069"

# Letters and symbols that leave no ink, beside the categories below: Hangul fillers, the empty Braille cell.
_INKLESS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def broken_rule(text: str) -> Rule | None:
    """The first rule the characters of `text` break; linear in its length."""
    if found := _FORBIDDEN.search(text):
        return _BY_CLASS[(found.lastindex or 1) - 1][1]
    if not _isolates_closed(text):
        return ISOLATE
    if longest_combining_run(text) > COMBINING_RUN:
        return COMBINING
    return None


def _isolates_closed(text: str) -> bool:
    depth = 0
    for found in _ISOLATES.finditer(text):
        depth += -1 if found.group() == _POP else 1
        if depth < 0:
            return False
    return depth == 0


def longest_combining_run(text: str) -> int:
    """Length of the longest run of marks (categories Mn, Mc, Me)."""
    if text.isascii():
        return 0
    longest = run = 0
    for character in text:
        if character > "\u02ff" and unicodedata.category(character)[0] == "M":  # no mark below U+0300
            run += 1
            longest = max(longest, run)
        else:
            run = 0
    return longest


def blank(text: str) -> bool:
    """Whether nothing of `text` leaves ink: spaces, format characters, marks without a base."""
    return all(
        character.isspace() or character in _INKLESS or unicodedata.category(character) in ("Cf", "Mn", "Zs")
        for character in text
    )
