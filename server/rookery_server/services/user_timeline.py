"""An author's own page: rows of the store, one query a page unless the rules hide some of them."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.frames import frame
from rookery_server.domain.limits import DEGRADED_AFTER_MS, MAX_ROUNDS, PAGE_DEFAULT, PAGE_MAX
from rookery_server.domain.models import Tweet
from rookery_server.domain.rules import Hidden, Viewer, hidden_anywhere
from rookery_server.domain.tokens import ConsistencyToken, PageCursor
from rookery_server.services.batches import checked_id, checked_page_size
from rookery_server.services.calls import Call
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.codec import TweetCodec
from rookery_server.services.facts import FactFinder, FactsFound
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage
from rookery_server.services.sight import Sight
from rookery_server.services.tokens import named_users
from rookery_server.services.users import KnownUsers
from rookery_server.store.interface import Store, TweetRow


class _Profile:
    """One page being filled.  `last_id`: the last row considered, shown or not."""

    def __init__(
        self, codec: TweetCodec, facts: FactFinder, viewer: Viewer, exclude_replies: bool, named: frozenset[int]
    ):
        """`named`: accounts whose cached standing is not good enough."""
        self._codec, self._facts, self._viewer, self._exclude_replies = codec, facts, viewer, exclude_replies
        self._named = named
        self.bodies: list[bytes] = []
        self.tweets: list[Tweet] = []
        self.hidden = 0
        self.last_id: int | None = None

    async def take(self, rows: Sequence[TweetRow], size: int) -> int:
        """Considers `rows` until the page has `size` tweets; how many were considered.  Raises StoreUnavailable."""
        tweets = [self._codec.decode(row.body) if row.body else None for row in rows]
        found = await self._facts.gather(self._viewer, tweets, self._named)
        for at, (row, tweet) in enumerate(zip(rows, tweets, strict=True)):
            if len(self.bodies) == size:
                return at
            if not found.judges(tweet):
                raise StoreUnavailable
            self._consider(row, tweet, found)
        return len(rows)

    def _consider(self, row: TweetRow, tweet: Tweet | None, found: FactsFound) -> None:
        self.last_id = row.tweet_id
        reason = hidden_anywhere(self._viewer, tweet, found.facts)
        self.hidden += reason not in (None, Hidden.DELETED)
        if reason is not None or tweet is None or self._is_excluded(tweet):
            return
        self.bodies.append(frame(row.body))
        self.tweets.append(tweet)

    def _is_excluded(self, tweet: Tweet) -> bool:
        """A reply to somebody else; answering oneself continues a thread."""
        return self._exclude_replies and tweet.reply is not None and tweet.reply.to_author_id != tweet.author_id


class UserTimelines:
    def __init__(
        self, store: Store, clock: Clock, codec: TweetCodec, users: KnownUsers, sight: Sight, claims: ClaimTracker
    ):
        self._store, self._clock, self._codec, self._users, self._sight = store, clock, codec, users, sight
        self._claims = claims

    async def page(
        self,
        call: Call,
        user_id: int,
        page_size: int,
        cursor: PageCursor | None = None,
        exclude_replies: bool = False,
        token: ConsistencyToken | None = None,
    ) -> TimelinePage:
        """An author's tweets, newest first.  `exclude_replies` leaves replies to other accounts out.
        Rows are always the truth at a quorum; a consistency token matters for relations and standings.  A short
        page may have a cursor.  Raises InvalidArgument, NotFound (also for an account that is hidden from the caller),
        StoreUnavailable."""
        size = checked_page_size(page_size, PAGE_DEFAULT, PAGE_MAX)
        await self._users.require(checked_id(user_id, "user_id"))
        until = self._clock.monotonic() + call.left(self._clock) / 2
        complete_through_ms, marks = self._claims.by_rows_ms(), await self._claims.snapshot()
        viewer = await self._sight.onto_profile(call, user_id, token)
        profile = _Profile(self._codec, self._sight.facts, viewer, exclude_replies, named_users(token))
        profile.last_id = cursor.last_id if cursor else None
        end = await self._fill(profile, user_id, size, until)
        next_cursor = None if end or profile.last_id is None else PageCursor(profile.last_id)
        if profile.hidden:
            # The rows are the truth; the relations and standings that hid some of them are copies.
            complete_through_ms = min(complete_through_ms, self._claims.by_copies_ms(marks))
        degraded = self._clock.now_ms() - complete_through_ms > DEGRADED_AFTER_MS
        info = PageInfo(PageSource.HISTORY, end, complete_through_ms, degraded=degraded, hidden=profile.hidden)
        return TimelinePage(
            tuple(profile.bodies),
            tuple(tweet.id for tweet in profile.tweets),
            tuple(tweet.author_id for tweet in profile.tweets),
            next_cursor,
            None,
            info,
        )

    async def _fill(self, profile: _Profile, user_id: int, size: int, until: float) -> bool:
        """True when history ends with this page."""
        for round_ in range(MAX_ROUNDS):
            if round_ and self._clock.monotonic() >= until:
                return False
            read = await self._store.user_tweets(user_id, profile.last_id, size)
            taken = await profile.take(read.rows, size)
            if len(profile.bodies) == size:
                return read.end and taken == len(read.rows)
            if read.end:
                return True
            if not read.rows:
                raise StoreUnavailable  # neither rows nor an end: better no answer than a made-up end of history
        return False
