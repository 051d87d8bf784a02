from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rookery_server.domain.models import Edge
from rookery_server.domain.tokens import ConsistencyToken, PageCursor
from rookery_server.services.calls import Call


@dataclass(frozen=True, slots=True)
class EdgeChanged:
    settled: bool
    token: ConsistencyToken


@dataclass(frozen=True, slots=True)
class FollowingPage:
    """Newest edge first."""

    edges: tuple[Edge, ...]
    next_cursor: PageCursor | None


@dataclass(frozen=True, slots=True)
class FollowersList:
    """Ascending by follower id."""

    follower_ids: tuple[int, ...]
    next_cursor: PageCursor | None


@dataclass(frozen=True, slots=True)
class Relationship:
    """What the caller and `user_id` are to each other.  Blocks and mutes come with a later release."""

    user_id: int
    following: bool
    followed_by: bool


class Graph:
    """All reads are the truth at a quorum and need no consistency token."""

    async def follow(self, call: Call, followee_id: int) -> EdgeChanged:
        """Raises InvalidArgument (oneself), NotFound, FollowLimitReached, RateLimited, IdsRefused, StoreUnavailable."""
        raise NotImplementedError

    async def unfollow(self, call: Call, followee_id: int) -> EdgeChanged:
        """OK also when there was nothing to remove.  Raises InvalidArgument, NotFound, StoreUnavailable."""
        raise NotImplementedError

    async def list_following(self, user_id: int, page_size: int, cursor: PageCursor | None = None) -> FollowingPage:
        """Cursor: `last_id` = the last followee, `floor_id` = its edge's version.  Raises NotFound."""
        raise NotImplementedError

    async def list_followers(self, user_id: int, page_size: int, cursor: PageCursor | None = None) -> FollowersList:
        """Cursor: `last_id` = the last follower.  Raises NotFound."""
        raise NotImplementedError

    async def relationship(self, call: Call, user_id: int) -> Relationship:
        """Raises NotFound."""
        raise NotImplementedError

    async def relationships(self, call: Call, user_ids: Sequence[int]) -> dict[int, Relationship]:
        """1 to 100 ids, in the order of the request, duplicates once; with an unknown account nothing is true."""
        raise NotImplementedError
