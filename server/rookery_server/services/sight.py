"""What a caller may see, for every path by id and every profile: whoever looks, the facts, the rules."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.cache.interface import Lists
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import NotFound
from rookery_server.domain.models import Tweet
from rookery_server.domain.rules import Viewer, hidden_account, hidden_anywhere
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.accounts import Accounts
from rookery_server.services.calls import Call
from rookery_server.services.facts import FactFinder
from rookery_server.services.loading import Loading
from rookery_server.services.relations import RelationRows
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tokens import named_users
from rookery_server.services.viewers import Viewers


class Sight:
    """One for each server process."""

    def __init__(self, store: RelationRows, cache: Lists, clock: Clock, accounts: Accounts, tiers: TierDirectory):
        self.accounts = accounts
        self.facts = FactFinder(store, accounts)
        self.viewers = Viewers(cache, Loading(store, cache, clock, tiers))

    async def visible(
        self, call: Call, tweets: Sequence[Tweet | None], token: ConsistencyToken | None = None
    ) -> list[bool]:
        """Which of these tweets (None: deleted or absent) the caller may see, in their order.
        Raises StoreUnavailable."""
        if not any(tweets):
            return [False] * len(tweets)
        viewer = await self.viewers.of(call.caller_id, token)
        found = await self.facts.gather(viewer, tweets, named_users(token))
        found.raise_if_unread()
        return [hidden_anywhere(viewer, tweet, found.facts) is None for tweet in tweets]

    async def onto_profile(self, call: Call, user_id: int, token: ConsistencyToken | None = None) -> Viewer:
        """The caller, who may see what this account posts.  Raises NotFound for an account that is hidden from the
        caller, StoreUnavailable."""
        viewer = await self.viewers.of(call.caller_id, token)
        found = await self.facts.of_accounts(viewer, [user_id], bypass=named_users(token))
        found.raise_if_unread()
        if hidden_account(viewer, user_id, found.facts) is not None:
            raise NotFound("no such user")
        return viewer
