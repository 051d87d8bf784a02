from __future__ import annotations

from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.pages import TimelinePage


class HomeTimelines:
    async def page(
        self,
        call: Call,
        page_size: int,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> TimelinePage:
        """One page of the caller's home, newest first by id.

        `page_size` as the caller sent it: 0 = default, clamped to the maximum, negative is InvalidArgument.
        `position`: None = the newest page; a page cursor = what is older; a newer cursor = what arrived since, repeats
        included.  Raises CapReached, CacheUnavailable (only through a full merge cap) and StoreUnavailable.
        """
        raise NotImplementedError
