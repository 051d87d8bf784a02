"""What a viewer may see: one pure function, used by every path, so that no two paths can disagree."""

from __future__ import annotations

import enum
from collections.abc import Set
from dataclasses import dataclass, field

from rookery_server.domain.models import Relations, Tweet


class Hidden(enum.Enum):
    """Why a tweet is dropped."""

    DELETED = "deleted"
    UNFOLLOWED = "unfollowed"
    BLOCKED = "blocked"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks.  `following`: all followees where the path knows them, None where it does not (a list vouches for
    its own entries, so there only what was unfollowed since matters)."""

    user_id: int
    relations: Relations = field(default_factory=lambda: Relations(0))
    following: Set[int] | None = None


def hidden_from_home(viewer: Viewer, tweet: Tweet | None) -> Hidden | None:
    """The first reason to leave `tweet` (None: deleted) out of the viewer's home page; None = show it.

    Place for later releases: suspended and protected authors, replies to strangers, `blocked_by` of quoted and
    answered authors.
    """
    reason = hidden_anywhere(viewer, tweet)
    if reason is not None or tweet is None or tweet.author_id == viewer.user_id:
        return reason
    if tweet.author_id in viewer.relations.muted:
        return Hidden.MUTED
    if viewer.following is not None:
        return None if tweet.author_id in viewer.following else Hidden.UNFOLLOWED
    return Hidden.UNFOLLOWED if tweet.author_id in viewer.relations.unfollowed else None


def hidden_anywhere(viewer: Viewer, tweet: Tweet | None) -> Hidden | None:
    """The rules of every path, also of a tweet read by its id."""
    if tweet is None:
        return Hidden.DELETED
    return Hidden.BLOCKED if viewer.relations.blocked.intersection(_authors(tweet)) else None


def _authors(tweet: Tweet) -> tuple[int, ...]:
    """Whoever speaks in a tweet: its author, and the authors of what it answers, quotes or repeats."""
    return (
        tweet.author_id,
        tweet.reply.to_author_id if tweet.reply else 0,
        tweet.quoted.author_id if tweet.quoted else 0,
        tweet.retweeted.author_id if tweet.retweeted else 0,
    )
