"""One count of one part, so that it stands only if it is true.  Rules N3 and N4 of docs/protocols/count.md."""

from __future__ import annotations

from collections.abc import Iterable

from rookery_server.domain.clock import Clock
from rookery_server.store.interface import Count, CountKind, CountStore

CLAIM = -1
"""The part under which a claim is filed: worth nothing in a sum."""


async def recount(store: CountStore, clock: Clock, subject_id: int, kind: CountKind, part: int) -> int:
    """Counts one part anew and stores it; the subject's total of that kind then, as it stands in the store.  Whatever
    was visible at a quorum before the call is in what stands after it.  Raises StoreUnavailable: to be done again."""
    counted_us = max(clock.now_ms() * 1000, _latest(await _counts(store, subject_id, kind)) + 1)
    await store.write_count(Count(subject_id, kind, CLAIM, 0, counted_us))
    value = await store.recount(subject_id, kind, part)
    await store.write_count(Count(subject_id, kind, part, value, counted_us))
    return sum(count.value for count in await _counts(store, subject_id, kind))


async def _counts(store: CountStore, subject_id: int, kind: CountKind) -> list[Count]:
    found = await store.counts([subject_id])
    return [count for count in found.get(subject_id, ()) if count.kind is kind]


def _latest(counts: Iterable[Count]) -> int:
    return max((count.counted_us for count in counts), default=0)
