"""The cost of a text grows with its length and no faster, whatever it is made of.

The scanners get inputs far beyond what a tweet may have.  Each input is measured at one size and at sixteen times that
size, in CPU time of this thread, best of several tries: linear work gives a ratio near 16, quadratic near 256.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

import pytest

from rookery_server.domain.errors import InvalidText
from rookery_server.domain.text import parse_text, weigh
from rookery_server.domain.text_characters import blank, broken_rule
from rookery_server.domain.text_emoji import EMOJI
from rookery_server.domain.text_entities import find_cashtags, find_hashtags, find_mentions
from rookery_server.domain.text_urls import find_urls

SMALL, TIMES = 4 * 1024, 16
# Between 16 and 256, with room above for caches and a noisy neighbour.
STEEPEST = 60
TRIES = 6

UNITS = [
    "a", "1", "_", "-", ".", "a.", "a-", "a_.", "..", "a..b", "é.", "@", "@a", "@a ", "@@",
    "a@a.com ", "RT@", "#", "#a", "#1", "##", "#日", "＃", "#\u200d", "$", "$A", "$A.",
    " $ABCDEFG", "/", ":", "://", "http://", "https://a", "http://a.", "http://a.co",
    "http://a.co ", "http://a.co/", "http://a.co/(", "http://a.co/((", "http://a.co/(a)",
    "http://a.co/a.", "http://a.co/?", "a.co/(", "a.co?", "a.co/...", "a.co/@", "a.co ", "a.co,",
    "a.a.a.a.co/", "xn--", "http://日", "http://б.", "http://日.中", "(", "()", "(()", "日", " ",
    "\n", "\u200d", "😀", "😀\u200d", "👍🏽\u200d", "🇨", "1\ufe0f", "1\ufe0f\u20e3", "❤\ufe0e",
    "🏴\U000e0067", "\U000e0067", "e\u0301", "\u0301", "\u2066", "\u2066\u2069", "\u2069",
    "\u200b", "\u3164",
]  # fmt: skip
# A whole input that is one unbroken thing behind a beginning.
HEADS = ["http://a.co/", "http://a.co/(", "http://a.co/((", "a.co?", "http://", "@", "#", "$", "a.", "a@"]


def _everything(text: str) -> None:
    """What `parse_text` does, without its bounds; NFC only where the combining rule lets it be reached."""
    if broken_rule(text) is None:
        text = unicodedata.normalize("NFC", text)
    blank(text)
    urls = list(find_urls(text))
    weigh(text, urls)
    for find in (find_mentions, find_hashtags, find_cashtags):
        for _ in find(text):
            pass
    EMOJI.subn("", text)


def _seconds(work: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    work(text)
    return time.thread_time() - started


def _steepness(work: Callable[[str], object], small: str, large: str) -> float:
    """Ratio of the best times; stops at the first good one, since noise only ever adds."""
    best_small = best_large = ratio = float("inf")
    for _ in range(TRIES):
        best_small = min(best_small, _seconds(work, small))
        best_large = min(best_large, _seconds(work, large))
        ratio = best_large / max(best_small, 1e-6)
        if ratio < STEEPEST:
            break
    return ratio


def _of_size(unit: str, head: str = "") -> tuple[str, str]:
    small, large = (head + unit * (size // len(unit)) for size in (SMALL, SMALL * TIMES))
    return small, large


@pytest.mark.parametrize("unit", UNITS)
def test_repeating_a_unit_costs_linear_time(unit: str) -> None:
    assert _steepness(_everything, *_of_size(unit)) < STEEPEST


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("unit", ["a", "a(", "(a", ".", "a.", "?", "日", "-"])
def test_a_long_tail_costs_linear_time(head: str, unit: str) -> None:
    assert _steepness(_everything, *_of_size(unit, head)) < STEEPEST


def test_the_measure_sees_quadratic_work() -> None:
    def quadratic(text: str) -> None:
        for start in range(0, len(text), 16):
            text.count("z", start)

    assert _steepness(quadratic, *_of_size("a")) > STEEPEST


def test_nothing_is_scanned_before_its_size_is_known() -> None:
    huge = "http://a.co/((" * 1_000_000
    assert _seconds(_refused, huge) < 0.05  # scanning it takes seconds


def _refused(text: str) -> None:
    with pytest.raises(InvalidText):
        parse_text(text)
