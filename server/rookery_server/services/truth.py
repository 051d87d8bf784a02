"""A home timeline computed anew from rows alone: what pages are compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import AUTHOR_KEPT, INNER_READS
from rookery_server.domain.models import Edge, Relations, Tweet
from rookery_server.domain.rules import Facts, Hidden, Viewer, hidden_from_home
from rookery_server.services.accounts import Standing, Standings
from rookery_server.services.bounded import each
from rookery_server.services.codec import TweetCodec
from rookery_server.services.facts import FactFinder
from rookery_server.services.relations import followees_of, load_relations
from rookery_server.store.interface import Store, TweetRow, UserStore


class StoredStandings:
    """Standings as the rows have them, past every cached copy."""

    def __init__(self, store: UserStore):
        self._store = store

    async def look(self, user_ids: Iterable[int], bypass: Collection[int] = ()) -> Standings:
        """Raises StoreUnavailable."""
        users = await self._store.get_users(tuple(user_ids))
        return Standings({id_: Standing(user.protected, user.state) for id_, user in users.items()})


@dataclass(frozen=True, slots=True)
class TrueHome:
    """`belongs`: tweets that are on this home, by id, with their authors.  `hidden`: those of its authors that are not,
    and why.  Both down to the floor asked for."""

    viewer: Viewer
    belongs: Mapping[int, int]
    hidden: Mapping[int, Hidden]


class HomeTruth:
    """Reads the store only."""

    def __init__(self, store: Store, clock: Clock, codec: TweetCodec):
        self._store, self._clock, self._codec = store, clock, codec
        self._facts = FactFinder(store, StoredStandings(store))

    async def relations(self, user_id: int) -> tuple[Relations, tuple[Edge, ...]]:
        """Raises StoreUnavailable."""
        return await load_relations(self._store, (), user_id, self._clock.now_ms())

    async def of(self, user_id: int, floor: int) -> TrueHome:
        """The whole home down to `floor`: as many reads as there are followees.  Raises StoreUnavailable."""
        relations, edges = await self.relations(user_id)
        viewer = Viewer(user_id, relations, followees_of(edges))
        rows: list[TweetRow] = []

        async def one(author: int) -> None:
            rows.extend(await self._rows(author, floor))

        await each(followees_of(edges) | {user_id}, INNER_READS, one)
        judged = await self.judged(viewer, rows)
        return TrueHome(
            viewer,
            {row.tweet_id: row.author_id for row in rows if judged[row.tweet_id] is None},
            {id_: reason for id_, reason in judged.items() if reason is not None},
        )

    async def judged(self, viewer: Viewer, rows: Collection[TweetRow]) -> dict[int, Hidden | None]:
        """By tweet, why it is left out of this viewer's home; None = it belongs there.  Raises StoreUnavailable."""
        tweets = {row.tweet_id: self._decoded(row) for row in rows}
        facts = await self.facts(viewer, tweets.values())
        now_ms = self._clock.now_ms()
        return {id_: hidden_from_home(viewer, tweet, facts, now_ms) for id_, tweet in tweets.items()}

    async def facts(self, viewer: Viewer, tweets: Iterable[Tweet | None]) -> Facts:
        """Raises StoreUnavailable."""
        found = await self._facts.gather(viewer, tweets)
        found.raise_if_unread()
        return found.facts

    def _decoded(self, row: TweetRow) -> Tweet | None:
        return self._codec.decode(row.body) if row.body else None

    async def _rows(self, author: int, floor: int) -> list[TweetRow]:
        rows: list[TweetRow] = []
        before: int | None = None
        while True:
            read = await self._store.user_tweets(author, before, AUTHOR_KEPT)
            rows += [row for row in read.rows if row.tweet_id >= floor]
            if read.end or not read.rows or read.rows[-1].tweet_id < floor:
                return rows
            before = read.rows[-1].tweet_id
