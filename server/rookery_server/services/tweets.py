"""Tweets by id: posting, reading, taking away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import NotFound, PermissionDenied
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.frames import unframe
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.batches import checked_batch, checked_id
from rookery_server.services.calls import Call
from rookery_server.services.codec import TweetCodec
from rookery_server.services.hydrate import Hydration
from rookery_server.services.posting import Draft, Posted, Posting
from rookery_server.services.quotas import Quotas
from rookery_server.services.sight import Sight
from rookery_server.services.tokens import after_all_ms, named_tweets, tweet_token
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store, TweetRow

__all__ = ["Draft", "Posted", "Removed", "Tweets"]


@dataclass(frozen=True, slots=True)
class Removed:
    """`settled`: every cached copy is proven to be overwritten."""

    settled: bool
    token: ConsistencyToken


class Tweets:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        codec: TweetCodec,
        hydration: Hydration,
        sight: Sight,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._new_id, self._codec = store, cache, new_id, codec
        self._hydration, self._sight, self._writes, self._witness = hydration, sight, writes, witness
        self._posting = Posting(store, cache, clock, new_id, codec, hydration, sight, quotas, writes, witness)

    async def create(self, call: Call, draft: Draft, request_id: str = "") -> Posted:
        """Posts as the caller.  Durable, and its delivery with it, when this returns.

        With a request id, the same content gives the same tweet for 24 h.  Raises InvalidText, InvalidArgument,
        NotFound (the answered or quoted tweet does not exist or is hidden from the author), AccountInactive,
        RequestIdReused, RateLimited, IdsRefused, StoreUnavailable.
        """
        return await self._posting.create(call, draft, request_id)

    async def delete(self, call: Call, tweet_id: int) -> Removed:
        """Takes a tweet of the caller's away; again is OK.  Raises NotFound, PermissionDenied (somebody else's),
        AccountInactive, IdsRefused, StoreUnavailable."""
        checked_id(tweet_id)
        await self._sight.accounts.require_active(call)
        row = (await self._store.get_tweets([tweet_id])).get(tweet_id)
        if row is None or (not row.body and row.author_id != call.caller_id):
            raise NotFound("no such tweet")
        if row.author_id != call.caller_id:
            if not (await self._sight.visible(call, [self._codec.decode(row.body)]))[0]:
                raise NotFound("no such tweet")
            raise PermissionDenied("somebody else's tweet")
        return await self._writes.run(self._remove(call, row))

    async def _remove(self, call: Call, row: TweetRow) -> Removed:
        own = await self._store.user_tweet(row.author_id, row.tweet_id)
        event = None
        if row.body or (own is not None and own.body):
            event = await self._write_removal(call, row, max(row.version_us, own.version_us if own else 0))
        settled = await self._cache.mark_deleted(row.tweet_id)
        self._witness.removal("delete", settled)
        # If deleted before, by an attempt whose event may still be on its way, reads that carry the token look at the
        # truth until everything up to now is applied.
        event_ms = ids.time_ms(event.id) if event else after_all_ms(self._new_id)
        return Removed(settled, tweet_token(row.author_id, row.tweet_id, event_ms))

    async def _write_removal(self, call: Call, row: TweetRow, old_version_us: int) -> Event:
        # Both attempts carry one version, so whichever lands, the same cells stand.
        version = ids.later_timestamp_us(self._new_id(), old_version_us)
        event = await self._writes.attempt(
            call,
            Event(0, EventKind.DELETE, row.author_id, row.tweet_id, version),
            lambda event: self._store.delete(row.tweet_id, row.author_id, event),
        )
        self._cache.ring(events.shard_of(row.author_id, self._store.shards), events.encode(event))
        return event

    async def get(self, call: Call, tweet_id: int, token: ConsistencyToken | None = None) -> bytes:
        """The bare serialised Tweet.  Raises NotFound: missing, deleted and hidden are one and the same."""
        body = (await self.batch_get(call, [tweet_id], token))[tweet_id]
        if body is None:
            raise NotFound("no such tweet")
        return body

    async def batch_get(
        self, call: Call, tweet_ids: Sequence[int], token: ConsistencyToken | None = None
    ) -> dict[int, bytes | None]:
        """1 to 100 ids; bare bytes in the order of the request, duplicates once; None = absent, deleted or hidden.
        Raises InvalidArgument, StoreUnavailable."""
        wanted = checked_batch(tweet_ids)
        hydrated = await self._hydration.bodies(wanted, named_tweets(token))
        hydrated.raise_if_unread()
        bodies = [unframe(framed) if framed else None for framed in map(hydrated.bodies.get, wanted)]
        tweets = [self._codec.decode(body) if body else None for body in bodies]
        visible = await self._sight.visible(call, tweets, token)
        return {id_: body if shown else None for id_, body, shown in zip(wanted, bodies, visible, strict=True)}
