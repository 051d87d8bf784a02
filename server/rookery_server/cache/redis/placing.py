"""Calls of scripts/place.lua."""

from __future__ import annotations

from collections.abc import Iterable

from rookery_server.cache import keys
from rookery_server.cache.redis.scripts import Script
from rookery_server.domain import ids, limits

INACTIVE, INSERTED, DUPLICATE, BELOW_FLOOR = range(4)


def bound_of(tweet_id: int) -> int:
    """The lowest id that may stand above `tweet_id` in a list."""
    return ids.first_at(ids.time_ms(tweet_id) - limits.ORDER_SLACK_MS)


def place_homes(place: Script, user_ids: Iterable[int], tweet_id: int) -> list[bytes]:
    bound = bound_of(tweet_id)
    return place.calls_alike(map(keys.home, user_ids), tweet_id, bound, limits.HOME_TRIM_AT, limits.HOME_KEPT)


def place_author(place: Script, author_id: int, tweet_id: int) -> bytes:
    bound = bound_of(tweet_id)
    return place.call([keys.author(author_id)], tweet_id, bound, limits.AUTHOR_TRIM_AT, limits.AUTHOR_KEPT)


def place_calls(place: Script, author_id: int, tweet_id: int) -> list[bytes]:
    """The author's two lists: posts first, as builds of home lists rely on them."""
    return [place_author(place, author_id, tweet_id), *place_homes(place, [author_id], tweet_id)]
