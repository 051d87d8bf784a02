from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.models import Profile, User
from rookery_server.services.calls import Call


class Users:
    """Always the truth at a quorum: reads need no consistency token."""

    async def create(self, call: Call, username: str, profile: Profile, request_id: str = "") -> User:
        """Raises InvalidArgument, UsernameTaken, RequestIdReused."""
        raise NotImplementedError

    async def get(self, user_id: int) -> User:
        """Raises NotFound."""
        raise NotImplementedError

    async def get_by_name(self, username: str) -> User:
        """In any case, without @.  Raises NotFound."""
        raise NotImplementedError

    async def batch_get(self, user_ids: Sequence[int]) -> dict[int, User | None]:
        """1 to 100 ids; in the order of the request, duplicates once; None = absent."""
        raise NotImplementedError

    async def update_profile(self, call: Call, profile: Profile, mask: Sequence[str], etag: str) -> User:
        """Of the caller.  `mask`: paths `display_name`, `bio`, `location`, `url`; empty = all four.
        Raises InvalidArgument, NotFound, StaleEtag (current etag in its metadata)."""
        raise NotImplementedError
