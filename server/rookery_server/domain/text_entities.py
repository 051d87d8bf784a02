"""Finds mentions, hashtags and cashtags in NFC text, in time linear in its length.

The rules follow twitter-text v3 (https://github.com/twitter/twitter-text).  On purpose different: a name of more than
15 characters is no mention at all, since its first 15 would name somebody else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from rookery_server.domain.limits import USERNAME_CHARS

Span = tuple[int, int]
"""Half-open range of code points, with the leading sign."""

_MENTION = re.compile(
    # Before: nothing that makes it an address or another tag; the old "RT@name" is the exception.
    r"(?:(?<![A-Za-z0-9_!#$%&*@\uff20])|(?<=(?<![A-Za-z0-9_+~.-])[Rr][Tt]))"
    rf"[@\uff20][A-Za-z0-9_]{{1,{USERNAME_CHARS}}}+"
    r"(?![A-Za-z0-9_@\uff20\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]|://)"
)
_CASHTAG = re.compile(r"(?<!\S)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?=\Z|[\s!\"#%&'()*+,./:;<=>?@\[\\\]^_{|}~$-])")
_HASH = re.compile("[#\uff03]")
# U+FE0F or U+20E3 behind the sign make it a keycap.
_KEYCAP = ("\ufe0f", "\u20e3")
# What joins words inside a tag: underscore, joiners of Persian and Indic writing, Hebrew and CJK marks, Tibetan tsek.
_JOINING = frozenset(
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
_VARIATION = frozenset("\ufe0e\ufe0f")


def find_mentions(text: str) -> Iterator[Span]:
    return (found.span() for found in _MENTION.finditer(text))


def find_cashtags(text: str) -> Iterator[Span]:
    return (found.span() for found in _CASHTAG.finditer(text))


def find_hashtags(text: str) -> Iterator[Span]:
    # A tag never holds its own sign, so each character is looked at for one sign only.
    for sign in _HASH.finditer(text):
        begin = sign.end()
        if text.startswith(_KEYCAP, begin) or not _may_precede(text[sign.start() - 1 : sign.start()]):
            continue
        end, letters = begin, False
        while end < len(text) and (kind := _kind(text[end])):
            letters = letters or kind == "L"
            end += 1
        if letters and not text.startswith(("#", "\uff03", "://"), end):
            yield sign.start(), end


def _may_precede(character: str) -> bool:
    """`&` would make it a character reference, a letter or digit the middle of a word."""
    return not character or not (character == "&" or _kind(character))


def _kind(character: str) -> str:
    """`L`etter, `M`ark, `N`umber (decimal digits only) or joining `P`unctuation of a tag; empty for anything else."""
    if character.isascii():
        return "L" if character.isalpha() else "N" if character.isdigit() else "P" if character == "_" else ""
    if character in _JOINING:
        return "P"
    category = unicodedata.category(character)
    if category[0] in "LM" and character not in _VARIATION:
        return category[0]
    return "N" if category == "Nd" else ""
