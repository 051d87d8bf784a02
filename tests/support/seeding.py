"""What an import would bring: posts and follows of the past and crowds of followers, straight into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress

from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Edge, Tweet
from rookery_server.rpc.convert import ProtoTweetCodec
from rookery_server.services.bounded import each
from rookery_server.store.interface import Store, TweetRow

TWEETS, EVENTS = 1022, 1023
"""Worker ids that no server takes: they begin with the lowest."""
AT_ONCE = 48
MIRROR_TRIES = 5


class Seeding:
    """Of one run: its ids differ from each other, up to a thousand of one millisecond."""

    def __init__(self, store: Store) -> None:
        self._store, self._clock, self._codec = store, SystemClock(), ProtoTweetCodec()
        self._made: Counter[int] = Counter()

    async def post(self, author: int, moment_ms: int, text: str = "of old") -> int:
        """A tweet under an id of its time, with the event that has it applied; its id."""
        tweet_id = self._id_at(moment_ms, TWEETS)
        body = self._codec.encode(Tweet(tweet_id, author, text, ids.time_ms(tweet_id)))
        version = ids.write_timestamp_us(tweet_id)
        event = Event(self._event_id(), EventKind.POST, author, tweet_id, version, repeat=True)
        await self._store.post(TweetRow(tweet_id, author, body, version), event)
        return tweet_id

    async def follow(self, follower: int, followee: int) -> None:
        event_id = self._event_id()
        version = ids.write_timestamp_us(event_id)
        edge = Edge(follower, followee, True, version)
        await self._store.write_edge(edge, Event(event_id, EventKind.FOLLOW, follower, followee, version))

    async def crowd(self, author: int, followers: Collection[int]) -> None:
        """Rows for a fan-out to read; the followers need not exist."""
        version = ids.write_timestamp_us(self._event_id())
        await each(followers, AT_ONCE, lambda follower: self._mirror(Edge(follower, author, True, version)))

    async def _mirror(self, edge: Edge) -> None:
        """The same row as often as it takes: so many at once are more than a busy node answers in time."""
        for _ in range(MIRROR_TRIES - 1):
            with suppress(StoreUnavailable):
                return await self._store.repair_mirror(edge)
        await self._store.repair_mirror(edge)

    def _event_id(self) -> int:
        return self._id_at(self._clock.now_ms(), EVENTS)

    def _id_at(self, moment_ms: int, worker: int) -> int:
        self._made[worker] += 1
        return ids.compose(moment_ms, worker, self._made[worker] % 1000)
