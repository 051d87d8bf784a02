"""What consistency tokens say: of which write, and when its event was minted."""

from __future__ import annotations

from collections.abc import Callable

from rookery_server.domain import ids
from rookery_server.domain.limits import CLOCK_BOUND_MS
from rookery_server.domain.tokens import ConsistencyToken

_TWEET, _EDGE, _BLOCK, _MUTE, _USER = "tweet", "edge", "block", "mute", "user"


def after_all_ms(new_id: Callable[[], int]) -> int:
    """For the token of an answer that wrote nothing, Unix ms: no earlier than any event acked by now, by whatever clock
    within the bound.  The time of an id minted here, since a server whose clock was set back mints nothing, and what
    two clocks may differ.  Raises IdsRefused."""
    return ids.time_ms(new_id()) + 2 * CLOCK_BOUND_MS


def tweet_token(author_id: int, tweet_id: int, event_ms: int) -> ConsistencyToken:
    """Of a post or a delete."""
    return ConsistencyToken(_TWEET, (author_id, tweet_id), event_ms)


def edge_token(follower_id: int, followee_id: int, event_ms: int) -> ConsistencyToken:
    """Of a follow or unfollow."""
    return ConsistencyToken(_EDGE, (follower_id, followee_id), event_ms)


def block_token(blocker_id: int, blocked_id: int, event_ms: int) -> ConsistencyToken:
    """Of a block or its end."""
    return ConsistencyToken(_BLOCK, (blocker_id, blocked_id), event_ms)


def mute_token(muter_id: int, muted_id: int, event_ms: int) -> ConsistencyToken:
    """Of a mute, its end or its change."""
    return ConsistencyToken(_MUTE, (muter_id, muted_id), event_ms)


def user_token(user_id: int, written_ms: int) -> ConsistencyToken:
    """Of a sign-up, an edit of the profile, or a change of the account."""
    return ConsistencyToken(_USER, (user_id,), written_ms)


def named_author(token: ConsistencyToken | None) -> int | None:
    """Whose tweets changed, if tweets did."""
    return token.ids[0] if token is not None and token.kind == _TWEET else None


def named_tweets(token: ConsistencyToken | None) -> frozenset[int]:
    """Tweets whose cached copies may be older than the write."""
    return frozenset(token.ids[1:]) if token is not None and token.kind == _TWEET else frozenset()


def speaks_of_relations(token: ConsistencyToken | None, user_id: int) -> bool:
    """Whether the write changed the relations of `user_id`: a block changes those of both."""
    if token is None:
        return False
    return token.ids[0] == user_id if token.kind in (_EDGE, _MUTE) else token.kind == _BLOCK and user_id in token.ids


def named_users(token: ConsistencyToken | None) -> frozenset[int]:
    """Accounts whose cached copies may be older than the write."""
    return frozenset(token.ids) if token is not None and token.kind == _USER else frozenset()
