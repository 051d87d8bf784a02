"""What is known of a source of ids, and how such knowledge is put together without skipping anything.

A source (a list, an author's rows) is only ever known down to somewhere.  `Part` carries that border along, so a merge
can tell what it may show from what it must not yet.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rookery_server.domain import ids as snowflake
from rookery_server.domain.limits import ORDER_SLACK_MS

BEYOND = snowflake.MAX_ID + 1
"""Above every id: the upper bound of a page from the top."""


@dataclass(frozen=True, slots=True)
class Part:
    """Every id of a source at or above `floor`, newest first, each once.  Floor 0: down to the end of its history.
    Ids below the floor may be present only in what `sliced` was given, never in `ids`."""

    ids: tuple[int, ...]
    floor: int


UNKNOWN = Part((), BEYOND)
"""A source nothing was read of yet."""


def floor_behind(last_id: int) -> int:
    """The floor of a list known down to the position of `last_id`: no entry stands above one more than D newer, so
    whatever lies deeper is at most D newer than `last_id`."""
    return snowflake.first_at(snowflake.time_ms(last_id) + ORDER_SLACK_MS + 1)


def sliced(positions: Sequence[int], whole: bool) -> Part:
    """What a slice from the top of a list proves; `positions` as they stand, in order within D, perhaps with doubles.
    `whole`: the slice holds the list's last position, and the list the whole history."""
    if whole:
        return Part(tuple(sorted(set(positions), reverse=True)), 0)
    if not positions:
        return UNKNOWN
    floor = floor_behind(positions[-1])
    return Part(tuple(sorted({id_ for id_ in positions if id_ >= floor}, reverse=True)), floor)


def covers_from(positions: Sequence[int], below: int) -> bool:
    """Whether a slice that does not begin at the top has every entry below `below` that stands above its own last
    position: true if one of its entries is more than D newer than `below`."""
    border = snowflake.time_ms(below) + ORDER_SLACK_MS
    return any(snowflake.time_ms(id_) > border for id_ in positions)


def hint_for(positions: Sequence[int], start: int, below: int) -> int:
    """The deepest position from which a slice still `covers_from(…, below)`; `positions` begin at `start`."""
    border = snowflake.time_ms(below) + ORDER_SLACK_MS
    for offset in range(len(positions) - 1, -1, -1):
        if snowflake.time_ms(positions[offset]) > border:
            return start + offset
    return 0


@dataclass(frozen=True, slots=True)
class Merged:
    """`part`: what may be shown: all of it known.  `blocked`: the sources that hide what would come next, to be read
    deeper; empty when `part` has as many ids as were wanted, or all there are."""

    part: Part
    blocked: tuple[int, ...]


def merge(parts: Mapping[int, Part], below: int, want: int) -> Merged:
    """The newest `want` ids below `below` over all sources, as far as they are known.

    `Merged.part` holds every id of [part.floor, below) of every source.
    """
    newest = _newest((part.ids for part in parts.values()), below, want)
    reach = newest[-1] if len(newest) == want else 0
    blocked = tuple(key for key, part in parts.items() if part.floor > reach)
    if not blocked:
        return Merged(Part(tuple(newest), reach), ())
    floor = max(parts[key].floor for key in blocked)
    return Merged(Part(tuple(id_ for id_ in newest if id_ >= floor), floor), blocked)


def join(first: Part, second: Part) -> Part:
    """What two sources prove together: both are complete only from the higher floor up."""
    floor = max(first.floor, second.floor)
    return Part(tuple(sorted({id_ for id_ in chain(first.ids, second.ids) if id_ >= floor}, reverse=True)), floor)


def _newest(sources: Iterable[Sequence[int]], below: int, want: int) -> list[int]:
    """One id after the other, so that of a source only what is taken is looked at: a merge of thousands stays small."""
    rest = [ids for ids in sources if ids and ids[-1] < below]
    heads: list[tuple[int, int, int]] = []  # the next id of a source, negated; which source; where in it
    for number, ids in enumerate(rest):
        # Descending, so bisect runs over the negated values.
        at = 0 if ids[0] < below else bisect_left(ids, 1 - below, key=lambda id_: -id_)
        heads.append((-ids[at], number, at))
    heapq.heapify(heads)
    newest: list[int] = []
    while heads and len(newest) < want:
        negated, number, at = heads[0]
        if not newest or newest[-1] != -negated:
            newest.append(-negated)
        ids = rest[number]
        if at + 1 < len(ids):
            heapq.heapreplace(heads, (-ids[at + 1], number, at + 1))
        else:
            heapq.heappop(heads)
    return newest
