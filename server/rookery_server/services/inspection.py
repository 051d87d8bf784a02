"""Homes as operators see them: verified, explained, built anew."""

from __future__ import annotations

from dataclasses import dataclass

from rookery_server.cache.interface import Removals
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.services.batches import checked_id
from rookery_server.services.builds import Builds
from rookery_server.services.calls import Call
from rookery_server.services.explain import Explanation, HomeExplainer
from rookery_server.services.users import KnownUsers
from rookery_server.services.verify import HomeVerifier, Verification

_NO_VERSION = 0
"""Below every version there is: the stub takes the one above what stands."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`settled`: the old copies are proven gone.  `stored`: the new list is in the cache; otherwise the next read
    builds.  `size`: tweets found.  `complete_through_ms`: what a page of it claims."""

    settled: bool
    stored: bool = False
    size: int = 0
    complete_through_ms: int = 0


class HomeInspection:
    def __init__(
        self,
        users: KnownUsers,
        cache: Removals,
        verifier: HomeVerifier,
        explainer: HomeExplainer,
        builds: Builds,
    ):
        self._users, self._cache = users, cache
        self._verifier, self._explainer, self._builds = verifier, explainer, builds

    async def verify(self, call: Call, user_id: int) -> Verification:
        """Raises InvalidArgument, NotFound, StoreUnavailable."""
        await self._users.require(checked_id(user_id, "user_id"))
        return await self._verifier.verify(user_id, call.deadline)

    async def explain(self, call: Call, user_id: int, tweet_id: int) -> Explanation:
        """Raises InvalidArgument, NotFound (the user), StoreUnavailable."""
        checked_id(tweet_id, "tweet_id")
        await self._users.require(checked_id(user_id, "user_id"))
        return await self._explainer.explain(user_id, tweet_id)

    async def rebuild(self, call: Call, user_id: int) -> Rebuilt:
        """Throws the cached list and relations away and builds.  Raises InvalidArgument, NotFound, StoreUnavailable,
        CapReached."""
        await self._users.require(checked_id(user_id, "user_id"))
        settled = await self._cache.stub_relations(user_id, _NO_VERSION)
        try:
            built = await self._builds.build(user_id)
        except CacheUnavailable:
            return Rebuilt(settled)
        if built is None:  # somebody else built it meanwhile
            return Rebuilt(settled, stored=True)
        return Rebuilt(settled, built.stored, len(built.part.ids), built.complete_through_ms)
