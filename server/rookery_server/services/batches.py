"""Checks that every read by id shares."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.errors import InvalidArgument, Violation
from rookery_server.domain.ids import MAX_ID
from rookery_server.domain.limits import BATCH_IDS


def checked_id(id_: int, field: str = "id") -> int:
    """Raises InvalidArgument unless positive and an int64."""
    if not 0 < id_ <= MAX_ID:
        raise InvalidArgument(Violation(field, "positive", "must be a positive id"))
    return id_


def checked_batch(ids: Sequence[int], field: str = "ids") -> tuple[int, ...]:
    """The distinct ids in the order of the request; raises InvalidArgument unless there are 1 to 100 of them, before
    anything is read."""
    if not 1 <= len(ids) <= BATCH_IDS:
        raise InvalidArgument(Violation(field, "batch_size", f"must hold 1 to {BATCH_IDS} ids"))
    return tuple(dict.fromkeys(checked_id(id_, field) for id_ in ids))


def checked_page_size(page_size: int, default: int, most: int) -> int:
    """0 is the default, more than the most is the most; raises InvalidArgument when negative."""
    if page_size < 0:
        raise InvalidArgument(Violation("page_size", "not_negative", "must not be negative"))
    return min(page_size or default, most)
