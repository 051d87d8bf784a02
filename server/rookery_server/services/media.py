"""What a reference to media may be.  Rookery keeps it and never fetches it; but clients will."""

from __future__ import annotations

import re

from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.domain.limits import MEDIA_REFERENCE_CHARS
from rookery_server.domain.links import check_link

_OPAQUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_media(reference: str, field: str) -> None:
    """An opaque id of letters, digits and `._-`, or a public https address.  Raises InvalidArgument."""
    if len(reference) <= MEDIA_REFERENCE_CHARS and _OPAQUE.fullmatch(reference):
        return
    if not reference.startswith("https://"):
        raise InvalidArgument(Violation(field, "media_reference", "must be a public https address or an opaque id"))
    check_link(reference, field, MEDIA_REFERENCE_CHARS)
