"""What pages are made of.  Cursors are values here; the transport signs them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rookery_server.domain.tokens import NewerCursor, PageCursor


class PageSource(enum.Enum):
    """Where a page came from; of a mixed page, where its oldest tweets came from."""

    LIST = "list"
    """The cached list."""
    BUILD = "build"
    """A list built in this very call."""
    HISTORY = "history"
    """The authors' rows in the store, below what the list holds (and every page of one author)."""
    MERGE = "merge"
    """The authors' rows in the store, because the list could not be used."""


@dataclass(frozen=True, slots=True)
class PageInfo:
    """What a page claims.

    `complete_through_ms`: every tweet that belongs into this stretch and was acked by this time is there; 0 = nothing
    is claimed.  `degraded`: the claim is more than 20 s old or the cache could not be reached.  `stale`: the store has
    no quorum, so something removed meanwhile may show.  `hidden`: tweets of this stretch that the viewer's rules
    dropped (deleted ones are not counted).  `end_of_history`: there is nothing older.
    """

    source: PageSource
    end_of_history: bool
    complete_through_ms: int
    degraded: bool = False
    stale: bool = False
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """`bodies`: framed tweets, newest first; joined, they are the repeated field of the reply (`domain.frames`).
    `tweet_ids` and `author_ids` are aligned with them.  `next_cursor` is None at the end of history, or, for a page
    that follows a newer cursor, when it has come down to where that cursor was.  `newer_cursor` is given with pages
    from the top only (never by user timelines)."""

    bodies: tuple[bytes, ...]
    tweet_ids: tuple[int, ...]
    author_ids: tuple[int, ...]
    next_cursor: PageCursor | None
    newer_cursor: NewerCursor | None
    info: PageInfo
