"""What stands under a key.  All of it immutable, so a replica shares it with its primary.

A list is a tuple of ids, newest at the head; its last element may be the end mark 0 or a negative build token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rookery_server.cache.interface import HistoryRead
from rookery_server.domain.models import Relations

END_MARK = 0
STUBS_REMEMBERED = 8
"""Changes a relations value was stubbed for; more than these are never re-applied at once to one follower."""


@dataclass(frozen=True, slots=True)
class StoredRelations:
    """A stub (`relations` None) or the relations, and the changes (event ids) it was stubbed for, newest last."""

    version: int
    stubbed: tuple[int, ...] = ()
    relations: Relations | None = None

    def raw(self) -> bytes:
        """Bytes to compare by: equal for equal values, and for no others."""
        return repr((self.version, self.stubbed, self.relations and _sorted(self.relations))).encode()

    def stub(self, version: int, change: int | None) -> StoredRelations:
        ring = self.stubbed
        if change is not None and change not in ring:
            ring = (*ring, change)[-STUBS_REMEMBERED:]
        return StoredRelations(max(self.version + 1, version), ring)


def _sorted(known: Relations) -> tuple[object, ...]:
    sets = [sorted(one) for one in (known.unfollowed, known.blocked, known.pull)]
    return *sets, sorted(known.muted.items()), None if known.blocked_by is None else sorted(known.blocked_by)


@dataclass(frozen=True, slots=True)
class StoredMeta:
    """Of a home list: the relations version it was built under, and when the build began (Unix ms)."""

    version: int
    built_ms: int


@dataclass(frozen=True, slots=True)
class StoredMarks:
    """A node's watermarks; `node` is the shard id of whoever wrote them."""

    node: str
    flushed_ms: int
    marks: Mapping[int, int] = field(default_factory=dict)


Value = tuple[int, ...] | bytes | StoredRelations | StoredMeta | StoredMarks | HistoryRead


@dataclass(frozen=True, slots=True)
class Entry:
    """`expires`: on the engine's monotonic clock, seconds; None = never."""

    value: Value
    expires: float | None
