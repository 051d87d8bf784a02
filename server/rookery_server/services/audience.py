"""How large an author's audience is, and how tweets travel to it: for operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rookery_server.domain.clock import Clock
from rookery_server.domain.fanout import AuthorTier, Thresholds, Tier, tier_for
from rookery_server.domain.limits import ROWS_A_PAGE
from rookery_server.services.batches import checked_batch, checked_id
from rookery_server.services.counting import CLAIM, recount
from rookery_server.services.user_counts import Counts, totals
from rookery_server.services.users import KnownUsers
from rookery_server.store.interface import CountKind, Store

_ANYBODY = 0
"""What an account follows is one part, whoever it is."""


@dataclass(frozen=True, slots=True)
class TierStanding:
    """`tier`: where the author is, or is going to.  `followers` None: never counted.  `merged`: readers merge the
    author's list now; `delivered`: what is posted now goes into lists.  `switch_ms` 0: the author never was pull."""

    author_id: int
    tier: Tier
    followers: int | None
    merged: bool
    delivered: bool
    switch_ms: int = 0


class Audience:
    def __init__(self, store: Store, clock: Clock, users: KnownUsers, thresholds: Thresholds):
        self._store, self._clock, self._users, self._thresholds = store, clock, users, thresholds

    async def tiers(self, author_ids: Sequence[int] = ()) -> tuple[TierStanding, ...]:
        """Of these authors in this order, at most 100; of none: of everybody who has a row, by id.
        Raises InvalidArgument, StoreUnavailable."""
        rows = {row.author_id: row for row in await self._store.tiers()}
        wanted = checked_batch(author_ids, "author_ids") if author_ids else tuple(sorted(rows))
        counts = await self._store.counts(wanted) if wanted else {}
        return tuple(self._standing(id_, rows.get(id_), totals(counts.get(id_, ())).followers) for id_ in wanted)

    def _standing(self, author_id: int, row: AuthorTier | None, followers: int | None) -> TierStanding:
        now_ms = self._clock.now_ms()
        if row is not None and row.pull:
            tier = Tier.PULL
        else:
            # As counted it may be pull already; until that is announced it is delivered like any large author.
            counted = tier_for(followers or 0, Tier.PUSH, self._thresholds)
            tier = Tier.BROAD if counted is Tier.PULL else counted
        if row is None:
            return TierStanding(author_id, tier, followers, merged=False, delivered=True)
        return TierStanding(author_id, tier, followers, row.merged_at(now_ms), row.delivers(now_ms), row.switch_ms)

    async def recount(self, user_id: int) -> Counts:
        """Counts every part of an account anew, however it was counted before.  Raises InvalidArgument, NotFound,
        StoreUnavailable."""
        await self._users.require(checked_id(user_id, "user_id"))
        for kind, part in sorted(await self._parts(user_id)):
            await recount(self._store, self._clock, user_id, kind, part)
        return totals((await self._store.counts([user_id])).get(user_id, ()))

    async def _parts(self, user_id: int) -> set[tuple[CountKind, int]]:
        """What was counted before, and where its rows are: also parts that nobody ever counted."""
        stored = (await self._store.counts([user_id])).get(user_id, ())
        parts = {(count.kind, count.part) for count in stored if count.part != CLAIM}
        parts |= self._of(CountKind.FOLLOWING, [_ANYBODY])
        parts |= self._of(CountKind.FOLLOWERS, [_ANYBODY])
        parts |= self._of(CountKind.FOLLOWERS, await self._some_followers(user_id))
        return parts | await self._tweet_parts(user_id)

    async def _some_followers(self, user_id: int) -> tuple[int, ...]:
        """Parts go by a hash of the follower and are far fewer: whoever has many has some of each part among them."""
        seen: tuple[int, ...] = ()
        after: int | None = 0
        while after is not None and len(seen) < ROWS_A_PAGE:
            page = await self._store.followers(user_id, after, ROWS_A_PAGE)
            seen, after = seen + page.follower_ids, page.next_after
        return seen

    async def _tweet_parts(self, user_id: int) -> set[tuple[CountKind, int]]:
        parts: set[tuple[CountKind, int]] = set()
        before: int | None = None
        while True:
            page = await self._store.user_tweet_ids(user_id, before, ROWS_A_PAGE)
            parts |= self._of(CountKind.TWEETS, page.ids)
            if page.end or not page.ids:
                return parts or self._of(CountKind.TWEETS, [user_id])
            before = page.ids[-1]

    def _of(self, kind: CountKind, row_ids: Iterable[int]) -> set[tuple[CountKind, int]]:
        return {(kind, part) for id_ in row_ids for part in self._store.count_parts(kind, id_)}
