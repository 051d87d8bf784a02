"""Posting: one tweet, however often it is tried (a row of `requests`, then one logged batch, then caches)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Cache, FillMark
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable, InvalidArgument, NotFound, Violation
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.frames import frame, unframe
from rookery_server.domain.limits import FILL_MAX_AGE_S, MEDIA_REFERENCES
from rookery_server.domain.models import Reference, Reply, Tweet
from rookery_server.domain.text import Text, parse_text
from rookery_server.domain.tokens import ConsistencyToken
from rookery_server.services.batches import checked_id
from rookery_server.services.calls import Call
from rookery_server.services.codec import TweetCodec
from rookery_server.services.hydrate import Hydration
from rookery_server.services.idempotency import Repeats, checked_request_id, content_hash
from rookery_server.services.media import check_media
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.sight import Sight
from rookery_server.services.tokens import tweet_token
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store, TweetRow


@dataclass(frozen=True, slots=True)
class Draft:
    """What a caller wants to post.  0 = no reply, no quote.  `media`: references, kept and never fetched."""

    text: str
    in_reply_to_id: int = 0
    quoted_id: int = 0
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Posted:
    """`body`: the bare serialised Tweet."""

    tweet_id: int
    body: bytes
    token: ConsistencyToken


@dataclass(frozen=True, slots=True)
class _Plan:
    """A draft that breaks no rule which can be told without reading anything."""

    text: Text
    in_reply_to_id: int
    quoted_id: int
    media: tuple[str, ...]

    def content_hash(self) -> bytes:
        return content_hash("tweet", self.text.text, self.in_reply_to_id, self.quoted_id, self.media)


class Posting:
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
        self._store, self._cache, self._clock, self._new_id, self._codec = store, cache, clock, new_id, codec
        self._hydration, self._sight, self._quotas, self._writes = hydration, sight, quotas, writes
        self._repeats: Repeats[Posted] = Repeats(writes, "CreateTweet", witness)

    async def create(self, call: Call, draft: Draft, request_id: str) -> Posted:
        plan = _planned(draft)
        key = (call.caller_id, checked_request_id(request_id)) if request_id else None
        await self._sight.accounts.require_active(call)
        mark = self._cache.fill_mark()
        if key is None:
            return await self._writes.run(self._post(call, plan, self._new_id(), mark, repeat=False))
        content = plan.content_hash()
        return await self._repeats.run(key, content, lambda: self._claimed(call, plan, key, content, mark))

    async def _claimed(self, call: Call, plan: _Plan, key: tuple[int, str], content: bytes, mark: FillMark) -> Posted:
        """`mark`: taken before anything of the tweet was read."""
        claim = await self._store.claim_request(*key, content, self._new_id())
        self._repeats.claimed(claim, content)
        if claim.fresh:
            return await self._post(call, plan, claim.result_id, mark, repeat=False)
        row = (await self._store.get_tweets([claim.result_id])).get(claim.result_id)
        if row is None:
            return await self._post(call, plan, claim.result_id, mark, repeat=True)
        if not row.body:
            raise NotFound("posted before, and deleted since")
        acked = self._repeats.acked(key)
        if acked is not None:
            return acked  # with its token: by a clock that was set back since, one of now would ask for too little
        # Visible, but whoever wrote it may have died before the event was: the same cells and one more event.
        return await self._write(call, row, mark, repeat=True)

    async def _post(self, call: Call, plan: _Plan, tweet_id: int, mark: FillMark, repeat: bool) -> Posted:
        reply, quoted = await self._references(call, plan)
        await self._quotas.charge(call, Quota.TWEETS)
        text = plan.text
        tweet = Tweet(
            tweet_id, call.caller_id, text.text, ids.time_ms(tweet_id), text.mentions, text.hashtags, text.cashtags,
            text.urls, reply, quoted, media=plan.media,
        )  # fmt: skip
        row = TweetRow(tweet_id, call.caller_id, self._codec.encode(tweet), ids.write_timestamp_us(tweet_id))
        return await self._write(call, row, mark, repeat)

    async def _write(self, call: Call, row: TweetRow, mark: FillMark, repeat: bool) -> Posted:
        draft = Event(0, EventKind.POST, row.author_id, row.tweet_id, row.version_us, repeat)
        event = await self._writes.attempt(call, draft, lambda event: self._store.post(row, event))
        await self._show_own(row, mark)
        self._cache.ring(events.shard_of(row.author_id, self._store.shards), events.encode(event))
        return Posted(row.tweet_id, row.body, tweet_token(row.author_id, row.tweet_id, ids.time_ms(event.id)))

    async def _show_own(self, row: TweetRow, mark: FillMark) -> None:
        """The author sees the post at once.  Not for bodies minted longer ago than a fill may be old: it could have
        been deleted since (R5); then the worker places it."""
        if self._clock.now_ms() - ids.time_ms(row.tweet_id) >= FILL_MAX_AGE_S * 1000:
            return
        filled = self._cache.fill_bodies({row.tweet_id: frame(row.body)}, mark)
        await asyncio.gather(filled, self._place_own(row))

    async def _place_own(self, row: TweetRow) -> None:
        try:
            await self._cache.place_own(row.author_id, row.tweet_id)
        except CacheUnavailable:
            return  # best effort: the event delivers it

    async def _references(self, call: Call, plan: _Plan) -> tuple[Reply | None, Reference | None]:
        wanted = [id_ for id_ in (plan.in_reply_to_id, plan.quoted_id) if id_]
        seen = dict(zip(wanted, await self._seen(call, wanted), strict=True)) if wanted else {}
        reply = quoted = None
        if plan.in_reply_to_id:
            parent = seen[plan.in_reply_to_id]
            reply = Reply(parent.id, parent.author_id, parent.reply.root_id if parent.reply else parent.id)
        if plan.quoted_id:
            target = seen[plan.quoted_id]
            quoted = Reference(target.id, target.author_id)
        return reply, quoted

    async def _seen(self, call: Call, wanted: Sequence[int]) -> list[Tweet]:
        """These tweets, all of which the caller may see (R12)."""
        hydrated = await self._hydration.bodies(wanted)
        hydrated.raise_if_unread()
        found = [framed for framed in map(hydrated.bodies.get, wanted) if framed]
        tweets = [self._codec.decode(unframe(framed)) for framed in found]
        if len(tweets) < len(wanted) or not all(await self._sight.visible(call, tweets)):
            raise NotFound("the answered or quoted tweet does not exist")
        return tweets


def _planned(draft: Draft) -> _Plan:
    for id_, name in ((draft.in_reply_to_id, "in_reply_to_id"), (draft.quoted_id, "quoted_id")):
        if id_:
            checked_id(id_, name)
    if len(draft.media) > MEDIA_REFERENCES:
        raise InvalidArgument(Violation("media", "too_many", f"must hold at most {MEDIA_REFERENCES} references"))
    for at, reference in enumerate(draft.media):
        check_media(reference, f"media[{at}].reference")
    return _Plan(parse_text(draft.text), draft.in_reply_to_id, draft.quoted_id, tuple(draft.media))
