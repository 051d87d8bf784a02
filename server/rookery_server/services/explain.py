"""Why one tweet is, or is not, in somebody's home: everything that decides it, in one answer."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain import ids
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.events import shard_of
from rookery_server.domain.limits import HOME_TRIM_AT
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.models import Edge
from rookery_server.domain.rules import Hidden, Viewer
from rookery_server.services.audience import Audience, TierStanding
from rookery_server.services.authors import WHOLE_LIST
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.relations import followees_of
from rookery_server.services.skeleton import Skeletons, Want
from rookery_server.services.truth import HomeTruth
from rookery_server.store.interface import Store, TweetRow


class Verdict(enum.Enum):
    LISTED = "listed"
    """In: the cached list holds it."""
    MERGED = "merged"
    """In: its author is merged by readers."""
    BELOW_FLOOR = "below_floor"
    """In: below the list's floor, where pages come from the authors' rows."""
    BUILT_ON_READ = "built_on_read"
    """In: no list is cached, and the next read builds one with it."""
    NO_SUCH_TWEET = "no_such_tweet"
    NOT_FOLLOWED = "not_followed"
    HIDDEN = "hidden"
    """Not in: a rule leaves it out."""
    ON_ITS_WAY = "on_its_way"
    """Not in yet: newer than what the home claims."""
    LOST = "lost"
    """Not in, though the home claims to be complete beyond it: a bug."""


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache has.  `exists`: a list that a read would use.  `listed`: it holds the tweet, or one that no read
    would use does.  `considered`: it is among the ids a page of it would consider, which go down to `floor` (0 = the
    end of history)."""

    exists: bool = False
    listed: bool = False
    considered: bool = False
    in_author_list: bool = False
    floor: int = 0
    built_ms: int = 0
    claim_ms: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Times are Unix ms, 0 = none or not known.  `author_id` 0: no such tweet.  `edge_ms`: since when the user follows
    the author, or does no more.  `rule`: which one leaves the tweet out.  `watermark_ms`: of the author's shard."""

    verdict: Verdict
    tweet_id: int
    author_id: int = 0
    rule: Hidden | None = None
    following: bool = False
    edge_ms: int = 0
    tier: TierStanding | None = None
    cached: bool = False
    listed: bool = False
    in_author_list: bool = False
    floor_ms: int = 0
    built_ms: int = 0
    complete_through_ms: int = 0
    watermark_ms: int = 0


class HomeExplainer:
    """Reads, and changes nothing.  Its facts are not of one instant."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        skeletons: Skeletons,
        claims: ClaimTracker,
        truth: HomeTruth,
        audience: Audience,
    ):
        self._store, self._cache, self._skeletons = store, cache, skeletons
        self._claims, self._truth, self._audience = claims, truth, audience

    async def explain(self, user_id: int, tweet_id: int) -> Explanation:
        """Raises StoreUnavailable."""
        row = (await self._store.get_tweets([tweet_id])).get(tweet_id)
        cached = await self._cached(user_id, tweet_id, row.author_id if row else 0)
        if row is None:
            return Explanation(Verdict.NO_SUCH_TWEET, tweet_id, listed=cached.listed, cached=cached.exists)
        relations, edges = await self._truth.relations(user_id)
        viewer = Viewer(user_id, relations, followees_of(edges))
        following = row.author_id in followees_of(edges) or row.author_id == user_id
        rule = (await self._truth.judged(viewer, [row]))[tweet_id]
        (tier,) = await self._audience.tiers([row.author_id])
        return Explanation(
            _verdict(tweet_id, following, rule, cached),
            tweet_id,
            row.author_id,
            rule,
            following,
            _edge_ms(edges, row),
            tier,
            cached.exists,
            cached.listed,
            cached.in_author_list,
            ids.time_ms(cached.floor) if cached.floor else 0,
            cached.built_ms,
            cached.claim_ms,
            await self._watermark_ms(row.author_id),
        )

    async def _cached(self, user_id: int, tweet_id: int, author_id: int) -> Cached:
        try:
            snapshot = await self._claims.snapshot()
            reading = await self._skeletons.listed(user_id, snapshot, Want(HOME_TRIM_AT))
            lists = await self._cache.read_authors([author_id], WHOLE_LIST) if author_id else {}
            in_author_list = any(tweet_id in one.ids for one in lists.values())
            if reading is None or reading.listed is None:
                unused = await self._cache.read_home(user_id, 0, 2 * HOME_TRIM_AT)
                return Cached(listed=tweet_id in unused.ids, in_author_list=in_author_list)
        except CacheUnavailable:
            return Cached()
        part = await reading.sources[0].slice(BEYOND, HOME_TRIM_AT)
        read = reading.listed.seen
        return Cached(
            exists=True,
            listed=tweet_id in read.ids,
            considered=tweet_id in part.ids,
            in_author_list=in_author_list,
            floor=part.floor,
            built_ms=read.built_ms,
            claim_ms=0 if reading.unproven or reading.lacking else reading.opening_claim_ms(),
        )

    async def _watermark_ms(self, author_id: int) -> int:
        """The least over all nodes; 0 when one cannot tell."""
        shard = shard_of(author_id, self._store.shards)
        try:
            nodes = (await self._cache.read_marks()).values()
        except CacheUnavailable:
            return 0
        return min((marks.marks.get(shard, 0) if marks and marks.known else 0 for marks in nodes), default=0)


def _edge_ms(edges: tuple[Edge, ...], row: TweetRow) -> int:
    return next((edge.version_us // 1000 for edge in edges if edge.followee_id == row.author_id), 0)


def _verdict(tweet_id: int, following: bool, rule: Hidden | None, cached: Cached) -> Verdict:
    if rule is not None and not (rule is Hidden.UNFOLLOWED and not following):
        return Verdict.HIDDEN
    if not following:
        return Verdict.NOT_FOLLOWED
    if not cached.exists:
        return Verdict.BUILT_ON_READ
    if tweet_id < cached.floor:
        return Verdict.BELOW_FLOOR
    if cached.considered:
        return Verdict.LISTED if cached.listed else Verdict.MERGED
    return Verdict.ON_ITS_WAY if ids.time_ms(tweet_id) > cached.claim_ms else Verdict.LOST
