"""What a viewer may see: one pure function, used by every path, so that no two paths can disagree."""

from __future__ import annotations

import enum
from collections.abc import Set
from dataclasses import dataclass, field

from rookery_server.domain.models import Relations, Tweet, lasts


class Hidden(enum.Enum):
    """Why a tweet is dropped, in the order of judgement."""

    DELETED = "deleted"
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    PROTECTED = "protected"
    UNFOLLOWED = "unfollowed"
    MUTED = "muted"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks; `user_id` 0 = nobody in particular.  `following`: all followees where the path knows them, None where
    it does not (a list vouches for its own entries, so there only what was unfollowed since matters).
    `only_known_replies`: leave out what answers accounts the viewer does not follow."""

    user_id: int
    relations: Relations = field(default_factory=lambda: Relations(0))
    following: Set[int] | None = None
    only_known_replies: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was looked up, for this page, of the accounts that speak in its tweets (`speakers`).

    `inactive`: suspended or deactivated.  `protected`: shown to followers only.  `blocking`: they block the viewer.
    `followed`: the viewer follows them (asked where the viewer's followees are not known and it matters).
    """

    inactive: Set[int] = frozenset()
    protected: Set[int] = frozenset()
    blocking: Set[int] = frozenset()
    followed: Set[int] = frozenset()


NO_FACTS = Facts()


def hidden_from_home(viewer: Viewer, tweet: Tweet | None, facts: Facts = NO_FACTS, now_ms: int = 0) -> Hidden | None:
    """The first reason to leave `tweet` (None: deleted) out of the viewer's home page; None = show it."""
    reason = hidden_anywhere(viewer, tweet, facts)
    if reason is not None or tweet is None or tweet.author_id == viewer.user_id:
        return reason
    if _is_unfollowed(viewer, tweet.author_id):
        return Hidden.UNFOLLOWED
    if any(is_muted(viewer.relations, speaker, now_ms) for speaker in speakers(tweet)):
        return Hidden.MUTED
    if viewer.only_known_replies and tweet.reply and not _is_known(viewer, tweet.reply.to_author_id, facts):
        return Hidden.STRANGER
    return None


def hidden_anywhere(viewer: Viewer, tweet: Tweet | None, facts: Facts = NO_FACTS) -> Hidden | None:
    """The rules of every path, also of a profile and of a tweet read by its id."""
    if tweet is None:
        return Hidden.DELETED
    reasons = (hidden_account(viewer, speaker, facts) for speaker in speakers(tweet))
    return next((reason for reason in reasons if reason is not None), None)


def hidden_account(viewer: Viewer, user_id: int, facts: Facts = NO_FACTS) -> Hidden | None:
    """Why all that an account says is hidden from the viewer; None = it is not.  Nobody is hidden from themselves."""
    if user_id == viewer.user_id:
        return None
    if user_id in facts.inactive:
        return Hidden.INACTIVE
    if user_id in viewer.relations.blocked or user_id in facts.blocking:
        return Hidden.BLOCKED
    if user_id in facts.protected and not _is_followed(viewer, user_id, facts):
        return Hidden.PROTECTED
    return None


def speakers(tweet: Tweet) -> tuple[int, ...]:
    """Whoever speaks in a tweet, once each: its author first, then those it answers, quotes or repeats."""
    if not (tweet.reply or tweet.quoted or tweet.retweeted):
        return (tweet.author_id,) if tweet.author_id else ()
    answered = tweet.reply.to_author_id if tweet.reply else 0
    others = (one.author_id for one in (tweet.quoted, tweet.retweeted) if one)
    return tuple(dict.fromkeys(id_ for id_ in (tweet.author_id, answered, *others) if id_))


def is_muted(relations: Relations, user_id: int, now_ms: int) -> bool:
    """Whether a mute stands at that time (`until` 0: for ever)."""
    until = relations.muted.get(user_id)
    return until is not None and lasts(until, now_ms)


def _is_unfollowed(viewer: Viewer, author: int) -> bool:
    if viewer.following is not None:
        return author not in viewer.following
    return author in viewer.relations.unfollowed


def _is_followed(viewer: Viewer, user_id: int, facts: Facts) -> bool:
    return user_id in facts.followed if viewer.following is None else user_id in viewer.following


def _is_known(viewer: Viewer, user_id: int, facts: Facts) -> bool:
    return user_id == viewer.user_id or _is_followed(viewer, user_id, facts)
