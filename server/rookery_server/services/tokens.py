"""What consistency tokens say: of which write, and when its event was minted."""

from __future__ import annotations

from rookery_server.domain.tokens import ConsistencyToken

_TWEET, _EDGE, _USER = "tweet", "edge", "user"


def tweet_token(author_id: int, tweet_id: int, event_ms: int) -> ConsistencyToken:
    """Of a post or a delete."""
    return ConsistencyToken(_TWEET, (author_id, tweet_id), event_ms)


def edge_token(follower_id: int, followee_id: int, event_ms: int) -> ConsistencyToken:
    """Of a follow or unfollow."""
    return ConsistencyToken(_EDGE, (follower_id, followee_id), event_ms)


def user_token(user_id: int, written_ms: int) -> ConsistencyToken:
    """Of a sign-up or a profile edit.  Accounts are always read at a quorum, so reads need not look at it."""
    return ConsistencyToken(_USER, (user_id,), written_ms)


def named_author(token: ConsistencyToken | None) -> int | None:
    """Whose tweets changed, if tweets did."""
    return token.ids[0] if token is not None and token.kind == _TWEET else None


def named_tweets(token: ConsistencyToken | None) -> frozenset[int]:
    """Tweets whose cached copies may be older than the write."""
    return frozenset(token.ids[1:]) if token is not None and token.kind == _TWEET else frozenset()


def speaks_of_relations(token: ConsistencyToken | None, user_id: int) -> bool:
    """Whether the write changed whom `user_id` follows."""
    return token is not None and token.kind == _EDGE and token.ids[0] == user_id
