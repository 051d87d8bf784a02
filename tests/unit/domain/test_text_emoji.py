"""The emoji tables against the Unicode properties, and which sequences are one emoji."""

from __future__ import annotations

import sys

import pytest
import regex  # type: ignore[import-untyped]

from rookery_server.domain.limits import EMOJI_PARTS
from rookery_server.domain.text_emoji import EMOJI, MODIFIER_BASES, PICTOGRAPHS


def _ranges(property_: str) -> str:
    """The table of a property without ASCII, in the form the module keeps it."""
    everything = "".join(chr(point) for point in range(0x80, sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    runs = (found.group() for found in regex.finditer(f"{property_}+", everything))
    # U+D7FF and U+E000 are neighbours in `everything`, but neither has one of these properties.
    return " ".join(f"{ord(run[0]):X}" + (f"-{ord(run[-1]):X}" if len(run) > 1 else "") for run in runs)


@pytest.mark.parametrize(
    ("table", "property_"),
    [
        (PICTOGRAPHS, r"[\p{Emoji}\p{Extended_Pictographic}]"),
        (MODIFIER_BASES, r"\p{Emoji_Modifier_Base}"),
    ],
)
def test_table_is_the_property(table: str, property_: str) -> None:
    current = _ranges(property_)
    assert table.split() == current.split(), f"Unicode moved on; the table is now:\n{current}"


ONE = [
    "😀", "☃", "❤️", "👍🏽", "☝🏽", "☝️🏽", "👩🏽‍🚀", "🏳️‍🌈", "🏴‍☠️", "👨‍👩‍👧‍👦", "🧑🏻‍❤️‍💋‍🧑🏿", "🐻‍❄️", "🧑🏻‍🦽‍➡️",
    "🇨🇭", "1️⃣", "#\u20e3", "©️", "\u200d".join("👨" * EMOJI_PARTS),
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\U0001faf8", "\U0001f8ff",  # the last is reserved for an emoji to come
]  # fmt: skip
NONE = ["a", "1", "#", "©", "®", "中", "\u200d", "\ufe0f", "\u20e3", "❤\ufe0e", "\U000e0067", "€"]
SEVERAL = [("😀🏽", 2), ("🇨🇭🇩", 2), ("👨\u200da", 1), ("\u200d".join("👨" * (EMOJI_PARTS * 2)), 2), ("🏴\U000e0067", 1)]


@pytest.mark.parametrize("text", ONE)
def test_one_emoji(text: str) -> None:
    assert EMOJI.fullmatch(text)
    assert len(EMOJI.findall(text)) == 1


@pytest.mark.parametrize("text", NONE)
def test_no_emoji(text: str) -> None:
    assert EMOJI.search(text) is None


@pytest.mark.parametrize(("text", "count"), SEVERAL)
def test_several_emoji(text: str, count: int) -> None:
    assert len(EMOJI.findall(text)) == count
