"""The text of a tweet: what is refused, what it weighs, what is found in it.

Weights are those of twitter-text v3 (https://github.com/twitter/twitter-text, config v3): a code point counts 1 in the
ranges below and 2 elsewhere, a URL 23, an emoji sequence 2.  Everything is measured on the NFC form, which is also
what is stored.  All work is linear in the length, and the length is bounded before any of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rookery_server.domain.errors import InvalidText, Violation
from rookery_server.domain.limits import TWEET_RAW_BYTES, TWEET_WEIGHT, URL_WEIGHT
from rookery_server.domain.models import Entity
from rookery_server.domain.text_characters import Rule, blank, broken_rule
from rookery_server.domain.text_emoji import EMOJI
from rookery_server.domain.text_entities import Span, find_cashtags, find_hashtags, find_mentions
from rookery_server.domain.text_urls import find_urls

TOO_LARGE = Rule("too_large", f"must not exceed {TWEET_RAW_BYTES} bytes")
EMPTY = Rule("empty", "must contain something to read")
TOO_LONG = Rule("too_long", f"must not exceed a weighted length of {TWEET_WEIGHT}")

# Ranges 0-4351, 8192-8205, 8208-8223 and 8242-8247 of config v3; all else has its `defaultWeight`, twice as much.
_LIGHT = re.compile("[\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]+")
_EMOJI_WEIGHT = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A text that breaks no rule: NFC, its weight, and what is in it, each kind in the order of the text."""

    text: str
    weight: int
    mentions: tuple[Entity, ...] = ()
    hashtags: tuple[Entity, ...] = ()
    cashtags: tuple[Entity, ...] = ()
    urls: tuple[Entity, ...] = ()


def parse_text(raw: str, field: str = "text") -> Text:
    """Raises InvalidText naming the rule that `field` breaks; its public text never repeats the input."""
    text = _normalized(raw, field)
    urls = tuple(find_urls(text))
    weight = weigh(text, urls)
    if weight > TWEET_WEIGHT:
        raise _invalid(field, TOO_LONG)
    return Text(
        text,
        weight,
        mentions=_entities("mention", text, _outside(find_mentions(text), urls)),
        hashtags=_entities("hashtag", text, _outside(find_hashtags(text), urls)),
        cashtags=_entities("cashtag", text, _outside(find_cashtags(text), urls)),
        urls=_entities("url", text, urls),
    )


def weigh(text: str, urls: Iterable[Span]) -> int:
    """The weighted length of NFC text whose URLs are at `urls`, in order."""
    weight = at = 0
    for begin, end in urls:
        weight += _weigh_words(text[at:begin]) + URL_WEIGHT
        at = end
    return weight + _weigh_words(text[at:])


def _weigh_words(words: str) -> int:
    if words.isascii():
        return len(words)
    words, emoji = EMOJI.subn("", words)
    light = sum(run.end() - run.start() for run in _LIGHT.finditer(words))
    return _EMOJI_WEIGHT * emoji + 2 * len(words) - light


def _normalized(raw: str, field: str) -> str:
    """NFC of `raw`.  Size and characters are checked before and after, since NFC may change both."""
    _check(raw, field)
    text = unicodedata.normalize("NFC", raw)
    if text is not raw:
        _check(text, field)
    if blank(text):
        raise _invalid(field, EMPTY)
    return text


def _check(text: str, field: str) -> None:
    # No code point has less than one byte, so the first test bounds the cost of the second.
    if len(text) > TWEET_RAW_BYTES or len(text.encode(errors="surrogatepass")) > TWEET_RAW_BYTES:
        raise _invalid(field, TOO_LARGE)
    if rule := broken_rule(text):
        raise _invalid(field, rule)


def _invalid(field: str, rule: Rule) -> InvalidText:
    return InvalidText(Violation(field, rule.name, rule.text))


def _outside(spans: Iterable[Span], urls: tuple[Span, ...]) -> Iterator[Span]:
    """Those that touch no URL; both are in order, so one walk is enough."""
    at = 0
    for begin, end in spans:
        while at < len(urls) and urls[at][1] <= begin:
            at += 1
        if at == len(urls) or end <= urls[at][0]:
            yield begin, end


def _entities(kind: str, text: str, spans: Iterable[Span]) -> tuple[Entity, ...]:
    entities, char_at, byte_at = [], 0, 0
    for begin, end in spans:
        byte_begin = byte_at + len(text[char_at:begin].encode())
        char_at, byte_at = end, byte_begin + len(text[begin:end].encode())
        value = text[begin:end] if kind == "url" else text[begin + 1 : end]
        entities.append(Entity(kind, value, byte_begin, byte_at, begin, end))
    return tuple(entities)
