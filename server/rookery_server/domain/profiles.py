"""What may stand in a profile.  Fields are free text in NFC, each may be empty, and are counted in code points."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from rookery_server.domain import limits
from rookery_server.domain.errors import InvalidText, Violation
from rookery_server.domain.links import check_link
from rookery_server.domain.models import Profile
from rookery_server.domain.text_characters import CONTROL, blank, broken_rule


def parse_profile(profile: Profile, prefix: str = "profile") -> Profile:
    """`profile` in NFC.  Raises InvalidText with every broken rule at once, fields named under `prefix`."""
    kept: dict[str, str] = {}
    violations: list[Violation] = []
    for name, parse in _FIELDS.items():
        try:
            kept[name] = parse(getattr(profile, name), f"{prefix}.{name}")
        except InvalidText as error:
            violations.extend(error.violations)
    if violations:
        raise InvalidText(*violations)
    return Profile(**kept)


def _display_name(raw: str, field: str) -> str:
    return _one_line(_words(raw, field, limits.DISPLAY_NAME_CHARS), field)


def _bio(raw: str, field: str) -> str:
    return _words(raw, field, limits.BIO_CHARS)


def _location(raw: str, field: str) -> str:
    return _one_line(_words(raw, field, limits.LOCATION_CHARS), field)


def _url(raw: str, field: str) -> str:
    if raw:
        check_link(raw, field, limits.URL_CHARS)
    return unicodedata.normalize("NFC", raw)


_FIELDS: dict[str, Callable[[str, str], str]] = {
    "display_name": _display_name,
    "bio": _bio,
    "location": _location,
    "url": _url,
}


def _words(raw: str, field: str, max_chars: int) -> str:
    # Size first: whatever NFC makes of it, more than this could never fit.
    if len(raw) > limits.TWEET_RAW_BYTES:
        raise _too_long(field, max_chars)
    _check(raw, field)
    text = unicodedata.normalize("NFC", raw)
    if len(text) > max_chars:
        raise _too_long(field, max_chars)
    _check(text, field)
    if text and blank(text):
        raise InvalidText(Violation(field, "blank", "must be empty or contain something to read"))
    return text


def _one_line(text: str, field: str) -> str:
    if "\n" in text:
        raise InvalidText(Violation(field, CONTROL.name, CONTROL.text))
    return text


def _check(text: str, field: str) -> None:
    if rule := broken_rule(text):
        raise InvalidText(Violation(field, rule.name, rule.text))


def _too_long(field: str, max_chars: int) -> InvalidText:
    return InvalidText(Violation(field, "too_long", f"must not exceed {max_chars} characters"))
