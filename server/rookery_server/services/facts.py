"""What the rules must know of the accounts that speak in tweets, with the fewest reads: R16 of
docs/protocols/removal.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.models import Tweet
from rookery_server.domain.rules import Facts, Viewer, speakers
from rookery_server.services.accounts import Standings
from rookery_server.store.interface import GraphStore, RelationStore


class Looks(Protocol):
    """Of `services.accounts.Accounts`, what is needed here."""

    async def look(self, user_ids: Iterable[int], bypass: Collection[int] = ()) -> Standings: ...


class SpeakerRows(GraphStore, RelationStore, Protocol):
    """Where a viewer's own edges and those who block the viewer are asked for."""


@dataclass(frozen=True, slots=True)
class FactsFound:
    """`unread`: accounts of which something that matters could not be read, so nothing of theirs may be judged."""

    facts: Facts
    unread: frozenset[int] = frozenset()

    def judges(self, tweet: Tweet | None) -> bool:
        """Whether enough is known to judge this tweet (None: deleted)."""
        return tweet is None or self.unread.isdisjoint(speakers(tweet))

    def raise_if_unread(self) -> None:
        """For callers who need all or nothing.  Raises StoreUnavailable."""
        if self.unread:
            raise StoreUnavailable


class FactFinder:
    """Gathers facts.  On a home page of active, unprotected accounts that costs no read of the store at all: who blocks
    the viewer comes with the viewer's relations, and standings are cached."""

    def __init__(self, store: SpeakerRows, accounts: Looks):
        self._store, self._accounts = store, accounts

    async def gather(self, viewer: Viewer, tweets: Iterable[Tweet | None], bypass: Collection[int] = ()) -> FactsFound:
        """Of everybody who speaks in these tweets.  `bypass`: accounts whose cached standing is not good enough (a
        consistency token names them).  Never raises for an engine's sake."""
        present = [tweet for tweet in tweets if tweet is not None]
        answered = {tweet.reply.to_author_id for tweet in present if tweet.reply} if viewer.only_known_replies else ()
        speaking = (id_ for tweet in present for id_ in speakers(tweet))
        return await self.of_accounts(viewer, speaking, answered, bypass)

    async def of_accounts(
        self, viewer: Viewer, user_ids: Iterable[int], known: Iterable[int] = (), bypass: Collection[int] = ()
    ) -> FactsFound:
        """Of these accounts.  `known`: of whom it matters also otherwise whether the viewer follows them."""
        others = frozenset(user_ids) - {viewer.user_id}
        standings = await self._accounts.look(others, bypass)
        protected = frozenset(id_ for id_, one in standings.of.items() if one.protected)
        blocking = await self._blocking(viewer, others)
        asked = (protected | frozenset(known)) - {viewer.user_id}
        followed = await self._followed(viewer, asked)
        unread = standings.unread | (others if blocking is None else _NONE) | (asked if followed is None else _NONE)
        inactive = frozenset(id_ for id_, one in standings.of.items() if one.inactive)
        return FactsFound(Facts(inactive, protected, blocking or _NONE, followed or _NONE), unread)

    async def _blocking(self, viewer: Viewer, others: frozenset[int]) -> frozenset[int] | None:
        """None: the store could not tell."""
        carried = viewer.relations.blocked_by
        if carried is not None or not others:
            return others & carried if carried else _NONE
        try:
            return await self._store.blockers_among(viewer.user_id, tuple(others))
        except StoreUnavailable:
            return None

    async def _followed(self, viewer: Viewer, asked: frozenset[int]) -> frozenset[int] | None:
        """As above; nothing where the viewer's followees are known, or nobody looks."""
        if not asked or not viewer.user_id or viewer.following is not None:
            return _NONE
        try:
            edges = await self._store.edges(viewer.user_id, tuple(asked))
        except StoreUnavailable:
            return None
        return frozenset(id_ for id_, edge in edges.items() if edge.on)


_NONE: frozenset[int] = frozenset()
