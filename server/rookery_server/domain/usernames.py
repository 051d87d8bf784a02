"""Usernames: 1 to 15 of A-Z a-z 0-9 _, unique without regard to case, some words kept back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rookery_server.domain.errors import InvalidText, Violation
from rookery_server.domain.limits import USERNAME_CHARS

_SHAPE = re.compile(rf"[A-Za-z0-9_]{{1,{USERNAME_CHARS}}}")

# What would pass for us, for staff or for everybody …
_OFFICES = """
    rookery admin administrator root system staff team official support help helpdesk security abuse moderator mod
    operator owner postmaster hostmaster webmaster noreply billing legal privacy trust safety verified everyone all
    here nobody anonymous null none undefined deleted suspended
"""
# … and the first path segments of a web face, where a profile's address is its name.
_PATHS = """
    about account accounts api app apps auth blog compose developer developers download explore faq favicon followers
    following hashtag home i index intent invite jobs likes lists login logout me media messages new notifications
    oauth policy robots rss rules search settings share signin signout signup sitemap static status terms timeline tos
    trends tweet tweets user users widgets www
"""
RESERVED = frozenset(_OFFICES.split()) | frozenset(_PATHS.split())
"""Compared in lower case and without underscores."""


@dataclass(frozen=True, slots=True)
class Username:
    """`name` as its owner writes it, `key` what must be unique for ever."""

    name: str
    key: str


def parse_username(raw: str, field: str = "username") -> Username:
    """A name for a new account.  Raises InvalidText."""
    key = username_key(raw, field)
    if key.replace("_", "") in RESERVED:
        raise InvalidText(Violation(field, "reserved", "is a reserved word"))
    return Username(raw, key)


def username_key(raw: str, field: str = "username") -> str:
    """The key to look an account up by.  Raises InvalidText for what can be nobody's name."""
    if not _SHAPE.fullmatch(raw):
        raise InvalidText(Violation(field, "username_shape", f"must be 1 to {USERNAME_CHARS} of A-Z, a-z, 0-9 and _"))
    return raw.lower()  # ASCII only, so lower case is case folding
