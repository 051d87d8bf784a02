"""All services over simple stores, and a worker that applies what the test tells it to."""

from __future__ import annotations

from typing import Any, cast

from rookery_server.cache.interface import Cache
from rookery_server.domain import ids
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier, Crossing
from rookery_server.domain.limits import PLAIN_PUSH_MS, WATERMARK_LAG_MS
from rookery_server.domain.models import Profile, Reference, Reply, Tweet, User
from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.accounts import Accounts
from rookery_server.services.calls import Call
from rookery_server.services.claims import BUILT_WITHIN_MS, ClaimTracker
from rookery_server.services.graph import EdgeChanged, Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.hydrate import Hydration
from rookery_server.services.pages import TimelinePage
from rookery_server.services.quotas import LocalQuotas
from rookery_server.services.sight import Sight
from rookery_server.services.skeleton import Skeletons
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tweets import Draft, Posted, Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store, TweetRow
from tests.support.hand_clock import HandGate
from tests.unit.services.clocks import Mint, TestClock
from tests.unit.services.simple_cache import SimpleCache
from tests.unit.services.simple_store import SimpleStore


class TextCodec:
    """Header fields and the text, readable in a failed assertion."""

    def encode(self, tweet: Tweet) -> bytes:
        reply, quoted = tweet.reply, tweet.quoted
        fields = [
            tweet.id,
            tweet.author_id,
            tweet.create_time_ms,
            *((reply.to_id, reply.to_author_id, reply.root_id) if reply else (0, 0, 0)),
            *((quoted.id, quoted.author_id) if quoted else (0, 0)),
        ]
        return "|".join([*map(str, fields), tweet.text]).encode()

    def decode(self, body: bytes) -> Tweet:
        *fields, text = body.decode().split("|", 8)
        id_, author, created, to_id, to_author, root, quoted, quoted_author = map(int, fields)
        return Tweet(
            id_,
            author,
            text,
            created,
            reply=Reply(to_id, to_author, root) if to_id else None,
            quoted=Reference(quoted, quoted_author) if quoted else None,
        )


class World:
    """`server()` makes another server over the same stores; `applied` are the events the worker is done with."""

    def __init__(self, crossing: Crossing | None = None) -> None:
        self.clock = TestClock()
        self.mint = Mint(self.clock)
        self.store, self.cache = SimpleStore(), SimpleCache()
        self.applied: set[int] = set()
        self.ever_applied: set[int] = set()
        self.crossing = crossing or Crossing()
        self.worker_tiers: dict[int, AuthorTier] | None = None
        """What the worker believes; None = what is true."""
        self.gate = HandGate()
        self.serve()

    def serve(self) -> None:
        """Starts a server, in place of the one before."""
        store, cache = cast(Store, self.store), cast(Cache, self.cache)
        known, codec = KnownUsers(store), TextCodec()
        writes, hydration = StartedWrites(self.clock, self.mint), Hydration(store, cache)
        self.claims = ClaimTracker(cache, store.shards, self.clock, self.gate)
        quotas = LocalQuotas(self.clock)
        self.accounts = Accounts(store, cache, self.clock)
        self.tiers = TierDirectory(store, self.clock, self.crossing)
        sight = Sight(store, cache, self.clock, self.accounts, self.tiers)
        self.skeletons = Skeletons(store, cache, self.clock, self.mint, self.claims, self.tiers)
        self.changes = AccountChanges(store, cache, self.clock, self.mint, writes, sleep=self.clock.sleep)
        self.users = Users(store, self.clock, self.mint, known, self.accounts, self.changes, quotas, writes)
        self.tweets = Tweets(store, cache, self.clock, self.mint, codec, hydration, sight, quotas, writes)
        self.graph = Graph(store, cache, self.clock, self.mint, known, sight, quotas, writes)
        self.home = HomeTimelines(self.skeletons, self.clock, codec, hydration, sight.facts)
        self.profiles = UserTimelines(store, self.clock, codec, known, sight, self.claims)

    # --- what people do ---------------------------------------------------------------------------------------

    def call(self, user_id: int, left_s: float = 2.0, bulk: bool = True) -> Call:
        return Call(user_id, self.clock.monotonic() + left_s, bulk)

    def user(self, name: str = "") -> int:
        user_id = self.mint()
        self.store.users[user_id] = User(user_id, name or f"u{user_id}", Profile(), self.clock.now_ms(), "1")
        return user_id

    async def post(self, author: int, text: str = "hello", **draft: Any) -> int:
        return (await self.posted(author, text, **draft)).tweet_id

    async def posted(self, author: int, text: str = "hello", request_id: str = "", **draft: Any) -> Posted:
        return await self.tweets.create(self.call(author), Draft(text, **draft), request_id)

    async def follow(self, follower: int, followee: int) -> EdgeChanged:
        return await self.graph.follow(self.call(follower), followee)

    async def unfollow(self, follower: int, followee: int) -> EdgeChanged:
        return await self.graph.unfollow(self.call(follower), followee)

    async def page(
        self,
        user: int,
        size: int = 20,
        position: PageCursor | NewerCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> TimelinePage:
        return await self.home.page(self.call(user), size, position, token)

    async def scroll(self, user: int, size: int = 20, position: PageCursor | NewerCursor | None = None) -> list[int]:
        """All ids to the end, page by page."""
        shown: list[int] = []
        for _ in range(10_000):
            page = await self.page(user, size, position)
            shown.extend(page.tweet_ids)
            if page.next_cursor is None:
                return shown
            position = page.next_cursor
        raise AssertionError("the scroll does not end")

    # --- the worker -------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Applies every event, moves all marks, and lets the server see them."""
        for id_, event in sorted(self.store.log.items()):
            if id_ not in self.applied:
                await self.apply(event)
        await self.mark(self.clock.now_ms() - WATERMARK_LAG_MS)

    async def mark(self, at_ms: int) -> None:
        for node in self.cache.nodes:
            self.cache.marks[node] = dict.fromkeys(range(self.store.shards), at_ms)
        await self.claims.refresh()

    async def age(self) -> None:
        """Until no list is so young that a page would read the marks behind it (claim C12)."""
        self.clock.advance(BUILT_WITHIN_MS + 1)
        await self.work()

    async def apply(self, event: Event) -> None:
        first, young = event.id not in self.ever_applied, self.clock.now_ms() - ids.time_ms(event.id) < PLAIN_PUSH_MS
        self.applied.add(event.id)
        self.ever_applied.add(event.id)
        if event.kind is EventKind.POST:
            self.cache.place(self.cache.authors, event.subject, event.target)
            self.cache.place(self.cache.homes, event.subject, event.target)
            rows = self.store.author_tiers if self.worker_tiers is None else self.worker_tiers
            row = rows.get(event.subject)
            if row is not None and not row.delivers(ids.time_ms(event.target)):
                return
            for follower, edge in self.store.mirror[event.subject].items():
                if edge.on and first and young:
                    self.cache.push(follower, event.target)
                elif edge.on:
                    self.cache.place(self.cache.homes, follower, event.target)
        elif event.kind is EventKind.DELETE:
            await self.cache.mark_deleted(event.target)
        elif event.kind is EventKind.ACCOUNT:
            await self.cache.stub_profile(event.subject, event.id)
        else:
            both = event.kind in (EventKind.BLOCK, EventKind.UNBLOCK)
            for user in (event.subject, event.target) if both else (event.subject,):
                await self.cache.stub_relations(user, event.version)

    # --- the oracle -------------------------------------------------------------------------------------------

    def truth(self, user: int) -> list[int]:
        """What the whole home timeline is, by the rows."""
        authors = {user} | {id_ for id_, edge in self.store.edges_of[user].items() if edge.on}
        rows = [row for author in authors for row in self.store.own_tweets[author].values() if row.body]
        return sorted((row.tweet_id for row in rows), reverse=True)

    def seed_tweet(self, author: int, at_ms: int) -> int:
        """A tweet of the past, in the store alone."""
        tweet_id = max(ids.compose(at_ms, 2, 0), 1)
        while tweet_id in self.store.tweets:
            tweet_id += 1
        body = TextCodec().encode(Tweet(tweet_id, author, "old", at_ms))
        row = TweetRow(tweet_id, author, body, ids.write_timestamp_us(tweet_id))
        self.store.tweets[tweet_id] = self.store.own_tweets[author][tweet_id] = row
        return tweet_id
