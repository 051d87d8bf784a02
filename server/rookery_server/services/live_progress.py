"""How far a stream has come: pages in, what to send out.  Rules S5 to S7 and S10 of docs/protocols/live.md."""

from __future__ import annotations

import enum
from collections.abc import Callable

from rookery_server.domain import ids
from rookery_server.domain.limits import REREAD_MS, STREAM_SENT_KEPT
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage


class Next(enum.Enum):
    """When the next page is worth reading."""

    NOW = enum.auto()
    """There is a gap to close."""
    SOON = enum.auto()
    """This page could not be used, or not in full: another one may claim more."""
    LATER = enum.auto()
    """When something changes, or at the heartbeat."""


class Progress:
    """`through_ms` is the T of the rules."""

    def __init__(self, cursor: LiveCursor):
        self._through_ms, self._sent = cursor.complete_through_ms, set(cursor.sent)
        self._below, self._floor = cursor.gap_below, cursor.gap_floor

    @classmethod
    def begin(cls, position: LiveCursor | NewerCursor | None, now_ms: Callable[[], int]) -> Progress:
        """Where a stream begins (S9).  Raises what `now_ms` raises, if it has to be asked."""
        if isinstance(position, LiveCursor):
            return cls(position)
        if position is None or not (position.complete_through_ms or position.newest_id):
            return cls(LiveCursor(now_ms()))
        return cls(LiveCursor(position.complete_through_ms or ids.time_ms(position.newest_id)))

    @property
    def claim_ms(self) -> int:
        """What all that was sent claims together: while there is a gap, T as it was before."""
        return ids.time_ms(self._floor) + REREAD_MS if self._below else self._through_ms

    def position(self) -> PageCursor | NewerCursor:
        """Of the page to read next."""
        return PageCursor(self._below, self._floor) if self._below else NewerCursor(0, self._through_ms)

    def cursor(self) -> LiveCursor:
        sent = tuple(sorted(self._sent)[-STREAM_SENT_KEPT:])
        return LiveCursor(self._through_ms, sent, self._below, self._floor)

    def take(self, page: TimelinePage) -> tuple[list[int], Next]:
        """Considers the page at `position()`.  Returns the indices into it of what is to be sent, oldest first, and
        what to do next; what is to be sent counts as sent."""
        if page.info.stale:
            return [], Next.SOON
        if self._below and not self._closes_gap(page.info.complete_through_ms):
            return [], Next.SOON
        send = [at for at, id_ in enumerate(page.tweet_ids) if id_ not in self._sent]
        self._sent.update(page.tweet_ids[at] for at in send)
        then = self._descend(page) if self._below else self._move(page)
        lowest = ids.first_at(self._through_ms - REREAD_MS)
        self._sent = {id_ for id_ in self._sent if id_ >= lowest or self._floor <= id_ < self._below}
        return send[::-1], then

    def _move(self, page: TimelinePage) -> Next:
        claim_ms = page.info.complete_through_ms
        if page.next_cursor is None:
            self._through_ms = max(self._through_ms, claim_ms)
            return Next.LATER
        if claim_ms <= self._through_ms:
            return Next.SOON
        self._below, self._floor = page.next_cursor.last_id, page.next_cursor.floor_id
        self._through_ms = claim_ms
        return Next.NOW

    def _closes_gap(self, claim_ms: int) -> bool:
        """Kept history claims less than lists do; of what is that old its claim says as much as a new one would."""
        return claim_ms >= min(self._through_ms, ids.time_ms(self._below) + REREAD_MS)

    def _descend(self, page: TimelinePage) -> Next:
        if page.next_cursor is None:
            self._below = self._floor = 0
        else:
            self._below = page.next_cursor.last_id
        return Next.NOW
