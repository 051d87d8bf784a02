"""One count of one part, so that it stands only if it is true.  Rules N3 and N4 of docs/protocols/count.md."""

from __future__ import annotations

from collections import Counter

from rookery_server.domain.clock import Clock
from rookery_server.store.interface import Count, CountKind, CountStore

CLAIM = -1
"""The part under which a claim is filed: worth nothing in a sum."""


async def recount(store: CountStore, clock: Clock, subject_id: int, kind: CountKind, part: int) -> dict[CountKind, int]:
    """Counts one part anew and stores it; the subject's totals then, of every kind that was ever counted, as they stand
    in the store.  Whatever was visible at a quorum before the call is in what stands after it.  Raises
    StoreUnavailable: to be done again."""
    stored = await _counts(store, subject_id)
    latest_us = max((count.counted_us for count in stored if count.kind is kind), default=0)
    counted_us = max(clock.now_ms() * 1000, latest_us + 1)
    await store.write_count(Count(subject_id, kind, CLAIM, 0, counted_us))
    value = await store.recount(subject_id, kind, part)
    await store.write_count(Count(subject_id, kind, part, value, counted_us))
    totals = Counter[CountKind]()
    for count in await _counts(store, subject_id):
        if count.part != CLAIM:
            totals[count.kind] += count.value
    return dict(totals)


async def _counts(store: CountStore, subject_id: int) -> tuple[Count, ...]:
    return (await store.counts([subject_id])).get(subject_id, ())
