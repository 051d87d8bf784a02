from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.calls import Call


@dataclass(frozen=True, slots=True)
class Draft:
    """What a caller wants to post.  0 = no reply, no quote."""

    text: str
    in_reply_to_id: int = 0
    quoted_id: int = 0
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Posted:
    """`body`: the bare serialised Tweet."""

    tweet_id: int
    body: bytes
    token: ConsistencyToken


@dataclass(frozen=True, slots=True)
class Removed:
    settled: bool
    token: ConsistencyToken


class Tweets:
    async def create(self, call: Call, draft: Draft, request_id: str = "") -> Posted:
        """Raises InvalidText, InvalidArgument, NotFound (answered or quoted tweet), RequestIdReused, RateLimited,
        IdsRefused, StoreUnavailable."""
        raise NotImplementedError

    async def delete(self, call: Call, tweet_id: int) -> Removed:
        """Idempotent for the author.  Raises NotFound, PermissionDenied, StoreUnavailable."""
        raise NotImplementedError

    async def get(self, call: Call, tweet_id: int, token: ConsistencyToken | None = None) -> bytes:
        """The bare serialised Tweet.  Raises NotFound."""
        raise NotImplementedError

    async def batch_get(
        self, call: Call, tweet_ids: Sequence[int], token: ConsistencyToken | None = None
    ) -> dict[int, bytes | None]:
        """1 to 100 ids; bare bytes in the order of the request, duplicates once; None = absent, deleted or hidden."""
        raise NotImplementedError
