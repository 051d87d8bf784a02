"""Counts, which are dated, and the tiers that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.fanout import AuthorTier
from rookery_server.store.interface import Count, CountKind
from rookery_server.store.memory.cells import EVERYTHING, Cell, Mutation, Span
from rookery_server.store.memory.role import Role

_TABLES = {CountKind.FOLLOWERS: "followers", CountKind.FOLLOWING: "following", CountKind.TWEETS: "user_tweets"}
_KINDS = tuple(CountKind)
_BUCKET_SHIFT = 53
"""As the real tables are cut, so that what is counted by parts is counted by the same ones."""


class TalliesRole(Role):
    def count_parts(self, kind: CountKind, row_id: int) -> tuple[int, ...]:
        return (row_id >> _BUCKET_SHIFT,) if kind is CountKind.TWEETS else (0,)

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        subjects = dict.fromkeys(subject_ids)
        found = await self._partitions("counts", "counts", ((id_, kind) for id_ in subjects for kind in _KINDS))
        return {
            id_: tuple(_count(id_, kind, *row) for kind in _KINDS for row in found[id_, kind].items())
            for id_ in subjects
            if any(found[id_, kind] for kind in _KINDS)
        }

    async def write_count(self, count: Count) -> None:
        cell = Cell(count.value, count.counted_us)
        await self._batch("write_count", [Mutation("counts", (count.subject_id, count.kind), count.part, cell)])

    async def recount(self, subject_id: int, kind: CountKind, part: int) -> int:
        rows = await self._rows("recount", _TABLES[kind], subject_id, _span(kind, part))
        if kind is CountKind.TWEETS:
            return sum(1 for cell in rows.values() if cell.value[1])
        return sum(1 for cell in rows.values() if cell.value)

    async def tiers(self) -> tuple[AuthorTier, ...]:
        rows = self._world.tiers
        return await self._compare_and_set("tiers", lambda: tuple(rows[author_id] for author_id in sorted(rows)))

    async def set_tier(self, expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        def change() -> AuthorTier:
            rows = self._world.tiers
            if rows.get(tier.author_id) == expected:
                rows[tier.author_id] = tier
            # A row is never removed: if there is none, what was expected of it is what is known of it.
            return rows.get(tier.author_id) or expected or tier

        return await self._compare_and_set("set_tier", change)


def _span(kind: CountKind, part: int) -> Span:
    if kind is CountKind.TWEETS:
        return Span(above=(part << _BUCKET_SHIFT) - 1, below=part + 1 << _BUCKET_SHIFT)
    return EVERYTHING if part == 0 else Span(limit=0)


def _count(subject_id: int, kind: CountKind, part: int, cell: Cell) -> Count:
    return Count(subject_id, kind, part, cell.value, cell.timestamp_us)
