"""Where rows are: the only place that knows how partitions are cut."""

from __future__ import annotations

from collections.abc import Sequence

_BUCKET_SHIFT = 53
"""2^53 ids = 2^31 ms = 24.9 days: at most 60,000 tweets of one author at the posting limit."""

FOLLOWER_SHARD = 0
FOLLOWER_SHARDS = (FOLLOWER_SHARD,)
"""Every shard an account's followers can be in.  One, until accounts spread: the mirror and its readers go by this."""

BLOCKER_SHARD = 0
"""Where whoever blocks an account stands in `blocked_by`: everybody in one partition, so that one query tells them."""

DAY_MS = 86_400_000


def bucket_of(tweet_id: int) -> int:
    return tweet_id >> _BUCKET_SHIFT


def first_id_after(bucket: int) -> int:
    """The lowest id of the next bucket."""
    return bucket + 1 << _BUCKET_SHIFT


def day_of(ms: int) -> int:
    return ms // DAY_MS


def merge_shards(pages: Sequence[Sequence[int]], limit: int) -> tuple[tuple[int, ...], int | None]:
    """Ascending pages of ids, one a shard, each read with `limit`: the ids up to where all of them are known, and
    where to go on (None: every shard is at its end)."""
    ends = [page[-1] for page in pages if len(page) >= limit]
    if not ends:
        return tuple(sorted(id_ for page in pages for id_ in page)), None
    known = min(ends)
    return tuple(sorted(id_ for page in pages for id_ in page if id_ <= known)), known
