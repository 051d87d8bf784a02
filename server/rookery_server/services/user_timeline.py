from __future__ import annotations

from rookery_server.domain.tokens import PageCursor
from rookery_server.services.calls import Call
from rookery_server.services.pages import TimelinePage


class UserTimelines:
    async def page(
        self, call: Call, user_id: int, page_size: int, cursor: PageCursor | None = None, exclude_replies: bool = False
    ) -> TimelinePage:
        """An author's tweets, newest first.  `exclude_replies` leaves replies to other accounts out.
        Always the truth at a quorum, so no consistency token is needed.  Raises NotFound."""
        raise NotImplementedError
