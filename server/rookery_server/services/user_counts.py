"""Counts as they are shown: what was counted last, part by part (docs/protocols/count.md says how that is done)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.store.interface import Count, CountKind, CountStore


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact at the time each was counted; None = never counted, which is not zero."""

    followers: int | None = None
    following: int | None = None
    tweets: int | None = None


def totals(parts: Iterable[Count]) -> Counts:
    """The sums over all parts of one account.  Parts below zero are claims, no counts."""
    sums: dict[CountKind, int] = {}
    for part in parts:
        if part.part >= 0:
            sums[part.kind] = sums.get(part.kind, 0) + part.value
    return Counts(sums.get(CountKind.FOLLOWERS), sums.get(CountKind.FOLLOWING), sums.get(CountKind.TWEETS))


async def shown_counts(store: CountStore, user_ids: Sequence[int]) -> dict[int, Counts]:
    """By id; accounts never counted are absent, and so are all while the store cannot be read: numbers are an ornament,
    and no reason to refuse a page."""
    try:
        stored = await store.counts(user_ids)
    except StoreUnavailable:
        return {}
    return {id_: totals(parts) for id_, parts in stored.items()}
