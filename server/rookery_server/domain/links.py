"""Addresses on the web that people give us to show.  They are never fetched, and must not fool who follows them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from rookery_server.domain.errors import InvalidText, Violation

# Spaces, controls, characters that end an address elsewhere, and all that shows nothing or turns the text around.
_REFUSED_CHARACTERS = re.compile(
    r"[\s\x00-\x20\x7f-\x9f\\\"<>^`{|}\u2000-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)
_HOST = re.compile(r"(?=.{1,253}\Z)[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)+\.?", re.DOTALL)


def check_link(link: str, field: str, max_chars: int) -> None:
    """Raises InvalidText unless `link` is an absolute http or https address without user information, whose host is
    a dotted name or a public IP address."""
    if len(link) > max_chars:
        raise _invalid(field, "too_long", f"must not exceed {max_chars} characters")
    if _REFUSED_CHARACTERS.search(link):
        raise _invalid(field, "link_characters", "must not contain spaces, controls or delimiters")
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname or "", parts.port  # reading the port checks it
    except ValueError:
        raise _invalid(field, "link_shape", "must be a web address") from None
    if parts.scheme not in ("http", "https"):
        raise _invalid(field, "link_scheme", "must begin with http:// or https://")
    if "@" in parts.netloc:
        raise _invalid(field, "link_user", "must not contain user information")
    if not _public(host) or ("[" in parts.netloc and ":" not in host):
        raise _invalid(field, "link_host", "must name a public host")


def _public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        # A last label of digits is an IPv4 address in a form browsers still read, such as 0x7f.1.
        return bool(_HOST.fullmatch(host)) and not host.rstrip(".").rpartition(".")[2][0].isdigit()


def _invalid(field: str, rule: str, text: str) -> InvalidText:
    return InvalidText(Violation(field, rule, text))
