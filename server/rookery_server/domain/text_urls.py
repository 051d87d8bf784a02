"""Finds URLs in NFC text, with and without a scheme, in time linear in its length.

The rules follow twitter-text v3 (https://github.com/twitter/twitter-text): what may stand before a URL, which
characters a path and a query hold and may end with, balanced parentheses two deep, CJK text that touches a URL is not
part of it.  Ours differs on purpose in three things: the list of top-level domains (see `text_tlds`), one that is not
listed counts behind a scheme, and no host is special.

Linear because each pattern is possessive and starts only where its predecessor could not have gone on, and a host is
at most 253 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rookery_server.domain import text_tlds

_LATIN = "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_CYRILLIC = "\u0400-\u04ff"

# Limits of the domain name system (RFC 1035), here of the name as written.
_HOST_CHARS = 253
_LABEL_CHARS = 63

_START = re.compile(
    r"(?<![A-Za-z0-9@\uff20$#\uff03])"
    r"(?:(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?://)"
    rf"|(?<![-_./{_LATIN}])(?P<bare>[A-Za-z0-9_{_LATIN}][A-Za-z0-9_{_LATIN}-]*+(?:\.[A-Za-z0-9_{_LATIN}-]++)++))"
)
# Host characters behind a scheme: everything but spaces, ASCII and full-width punctuation, and the general and CJK
# punctuation blocks.  Hyphen, underscore and dot are sorted out label by label.
_HOST = re.compile(
    r"[^\s\x00-,/:-@\[-^`{-\u00bf\u2000-\u206f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
    rf"{{1,{_HOST_CHARS + 1}}}+"
)
_ASCII_NAME = re.compile(r"[Xx][Nn]--[A-Za-z0-9-]++|[A-Za-z]{2,63}+")
_INTERNATIONAL = re.compile("|".join(text_tlds.INTERNATIONAL))
_FIRST_CJK = "\u2e80"
_AFTER_NAME = re.compile(r"[0-9A-Za-z@+_-]")

_PATH_CHAR = rf"[A-Za-z0-9!*';:=+,.$/%#\[\]\u2013_~@|&{_LATIN}{_CYRILLIC}-]"
_PORT = re.compile(r":[0-9]{1,5}+(?![0-9])")
_PATH = re.compile(rf"/(?:{_PATH_CHAR}++|\((?:{_PATH_CHAR}++|\({_PATH_CHAR}*+\))*+\))*+")
_PATH_TAIL = re.compile(rf"[A-Za-z0-9=_#/+)\-{_LATIN}{_CYRILLIC}]")
_QUERY = re.compile(r"\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]++")
_QUERY_TAIL = re.compile(r"[A-Za-z0-9_&=#/-]")


def find_urls(text: str) -> Iterator[tuple[int, int]]:
    """Half-open code-point ranges of the URLs of `text`, in order, none overlapping."""
    at = 0
    while found := _START.search(text, at):
        if found["scheme"]:
            begin, host_begin = found.start(), found.end()
            host_end = _host_with_scheme(text, host_begin)
            at = host_begin
        else:
            begin = host_begin = found.start()
            host_end = _bare_host(text, host_begin, found.end())
            at = found.end()
        if host_end is not None:
            at = _end(text, host_end)
            yield begin, at


def _host_with_scheme(text: str, begin: int) -> int | None:
    run = _HOST.match(text, begin)
    return None if run is None else _longest_host(text, begin, run.end(), _name_behind_scheme)


def _bare_host(text: str, begin: int, end: int) -> int | None:
    return _longest_host(text, begin, end, _listed_name)


def _longest_host(text: str, begin: int, end: int, name_end: Callable[[str, int, int], int | None]) -> int | None:
    """End of the longest host in `text[begin:end]`: valid labels, at least two, the last of them beginning with a
    top-level domain.  A longer run than a host can be is none."""
    if end - begin > _HOST_CHARS:
        return None
    longest, before = None, ""
    for label in text[begin:end].split("."):
        if not label or len(label) > _LABEL_CHARS or label[0] == "-":
            break
        # An underscore is a subdomain's right only: neither the registered name nor what follows it has one.
        if before and "_" not in before:
            stop = name_end(text, begin, begin + len(label))
            if stop is not None and not _AFTER_NAME.match(text, stop):
                longest = stop
        if label[-1] == "-":
            break
        before = label
        begin += len(label) + 1
    return longest


def _name_behind_scheme(text: str, begin: int, end: int) -> int | None:
    """End of the top-level domain a label begins with: any ASCII name, or a listed international one."""
    if name := _ASCII_NAME.match(text, begin, end):
        return name.end()
    if (name := _INTERNATIONAL.match(text, begin, end)) is None:
        return None
    # Chinese, Japanese and Korean text touches a name without a space; other scripts would be a longer word.
    return name.end() if name[0] >= _FIRST_CJK or not text[name.end() : name.end() + 1].isalnum() else None


def _listed_name(text: str, begin: int, end: int) -> int | None:
    return end if text_tlds.listed(text[begin:end]) else None


def _end(text: str, at: int) -> int:
    """End of the URL whose host ends at `at`: port, path and query, none of them with trailing punctuation."""
    if port := _PORT.match(text, at):
        at = port.end()
    if path := _PATH.match(text, at):
        at = max(at + 1, _without_tail(text, at, path.end(), _PATH_TAIL))
    if query := _QUERY.match(text, at):
        end = _without_tail(text, at, query.end(), _QUERY_TAIL)
        at = end if end > at + 1 else at
    return at


def _without_tail(text: str, begin: int, end: int, tail: re.Pattern[str]) -> int:
    while end > begin and not tail.match(text, end - 1):
        end -= 1
    return end
