"""What the two list scripts do, as functions over tuples.  Rules: docs/protocols/links.md, L15 and L16."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from rookery_server.cache.memory.values import END_MARK
from rookery_server.domain import ids, limits


class Placed(enum.Enum):
    INSERTED = enum.auto()
    DUPLICATE = enum.auto()
    BELOW_FLOOR = enum.auto()


def under_build(entries: Sequence[int]) -> bool:
    return bool(entries) and entries[-1] < 0


def place(entries: tuple[int, ...], id_: int, trim_at: int, kept: int) -> tuple[Placed, tuple[int, ...]]:
    """`entries` with `id_` in its place, once.  They are in order within D, so whatever concerns the id stands above
    the first entry more than D older than it."""
    if entries[-1] > END_MARK and id_ < entries[-1]:
        return Placed.BELOW_FLOOR, entries
    reach = _reach(entries, id_)
    copies = [at for at in range(reach) if entries[at] == id_]
    newer = [at for at in range(reach) if entries[at] > id_]
    older = [at for at in range(reach) if entries[at] < id_]
    if len(copies) == 1 and not any(at > copies[0] for at in newer) and not any(at < copies[0] for at in older):
        return Placed.DUPLICATE, entries
    if len(copies) == len(entries):
        return Placed.DUPLICATE, (id_,)
    # By position, since the last newer entry may be one of two doubles.
    above_at = newer[-1] + 1 if newer else 0
    at = above_at - sum(copy < above_at for copy in copies)
    rest = [entry for entry in entries if entry != id_]
    rest.insert(at, id_)
    return Placed.INSERTED, trimmed(tuple(rest), trim_at, kept)


def _reach(entries: Sequence[int], id_: int) -> int:
    bound = ids.first_at(ids.time_ms(id_) - limits.ORDER_SLACK_MS)
    return next((at for at, entry in enumerate(entries) if entry <= END_MARK or entry < bound), len(entries))


def trimmed(entries: tuple[int, ...], trim_at: int, kept: int) -> tuple[int, ...]:
    """A list under build is never cut: its token is the last element."""
    return entries[:kept] if len(entries) > trim_at and not under_build(entries) else entries


def finished(pushed: Sequence[int], gathered: Sequence[int], whole: bool, kept: int) -> tuple[int, ...] | None:
    """What was pushed during a build, merged with what was gathered (newest first).  None: there is nothing the list
    could claim.  What was pushed below the last gathered id of a list without end mark is dropped: as the last element
    it would lower the floor over what nobody read."""
    if not whole and not gathered:
        return None
    # One more than is kept tells that something is left out.
    gathered = gathered[: kept + 1]
    floor = END_MARK if whole else gathered[-1]
    merged = sorted({*gathered, *(id_ for id_ in pushed if id_ >= floor)}, reverse=True)
    return (*merged, END_MARK) if whole and len(merged) <= kept else tuple(merged[:kept])
