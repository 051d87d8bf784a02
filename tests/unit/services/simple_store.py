"""The truth without its difficulties: one copy, at once.  Failures are what a test asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rookery_server.domain.errors import NotFound, StoreUnavailable
from rookery_server.domain.events import Event, encode, shard_of, window_of
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.ids import time_ms
from rookery_server.domain.models import Edge, User
from rookery_server.store.interface import (
    Count,
    DeadLetter,
    FollowersPage,
    Lease,
    NameClaim,
    OutboxRow,
    Progress,
    RequestClaim,
    TweetRow,
    UserTweetIds,
    UserTweets,
)
from tests.unit.services.simple_relations import SimpleRelations


class SimpleStore(SimpleRelations):
    shards = 4

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, User] = {}
        self.names: dict[str, NameClaim] = {}
        self.counted: dict[int, tuple[Count, ...]] = {}
        self.requests: dict[tuple[int, str], tuple[bytes, int]] = {}
        self.tweets: dict[int, TweetRow] = {}
        self.own_tweets: dict[int, dict[int, TweetRow]] = defaultdict(dict)
        self.edges_of: dict[int, dict[int, Edge]] = defaultdict(dict)
        self.mirror: dict[int, dict[int, Edge]] = defaultdict(dict)
        self.log: dict[int, Event] = {}
        self.leases: dict[str, Lease] = {}
        self.progress: dict[int, Progress] = {}
        self.dead: list[DeadLetter] = []
        self.calls: list[str] = []
        self.author_tiers: dict[int, AuthorTier] = {}
        self.down = False
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}

    async def _begin(self, name: str) -> None:
        """`before` runs once, ahead of the call: it may raise, or await something."""
        self.calls.append(name)
        if self.down:
            raise StoreUnavailable
        await self._hook(self.before, name)

    async def _hook(self, hooks: dict[str, Callable[[], Any]], name: str) -> None:
        hook = hooks.pop(name, None)
        result = hook() if hook else None
        if result is not None:
            await result

    # --- users, requests --------------------------------------------------------------------------------------

    async def claim_name(self, name_key: str, claim: NameClaim) -> NameClaim:
        await self._begin("claim_name")
        return self.names.setdefault(name_key, claim)

    async def take_over_name(self, name_key: str, expected: NameClaim, claim: NameClaim) -> NameClaim:
        await self._begin("take_over_name")
        if self.names[name_key] == expected:
            self.names[name_key] = claim
        return self.names[name_key]

    async def find_name(self, name_key: str) -> NameClaim | None:
        await self._begin("find_name")
        return self.names.get(name_key)

    async def create_user(self, user: User) -> User:
        await self._begin("create_user")
        return self.users.setdefault(user.id, user)

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, User]:
        await self._begin("get_users")
        found = {id_: self.users[id_] for id_ in user_ids if id_ in self.users}
        await self._hook(self.after, "get_users")
        return found

    async def replace_user(self, user: User, expected_etag: str) -> User:
        await self._begin("replace_user")
        if user.id not in self.users:
            raise NotFound
        if self.users[user.id].etag == expected_etag:
            self.users[user.id] = user
        standing = self.users[user.id]
        await self._hook(self.after, "replace_user")
        return standing

    async def settled_user(self, user_id: int) -> User | None:
        await self._begin("settled_user")
        return self.users.get(user_id)

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        await self._begin("counts")
        return {id_: self.counted[id_] for id_ in subject_ids if id_ in self.counted}

    async def claim_request(self, caller: int, request_id: str, content_hash: bytes, result_id: int) -> RequestClaim:
        await self._begin("claim_request")
        fresh = (caller, request_id) not in self.requests
        stands = self.requests.setdefault((caller, request_id), (content_hash, result_id))
        await self._hook(self.after, "claim_request")
        return RequestClaim(fresh, *stands)

    # --- tweets -----------------------------------------------------------------------------------------------

    async def post(self, row: TweetRow, event: Event) -> None:
        await self._begin("post")
        self._write(row)
        self.log[event.id] = event
        await self._hook(self.after, "post")

    async def delete(self, tweet_id: int, author_id: int, event: Event) -> None:
        await self._begin("delete")
        self._write(TweetRow(tweet_id, author_id, b"", event.version))
        self.log[event.id] = event
        await self._hook(self.after, "delete")

    def _write(self, row: TweetRow) -> None:
        for table in (self.tweets, self.own_tweets[row.author_id]):
            old = table.get(row.tweet_id)
            if old is None or row.version_us > old.version_us:
                table[row.tweet_id] = row

    async def get_tweets(self, tweet_ids: Sequence[int]) -> dict[int, TweetRow]:
        await self._begin("get_tweets")
        rows = {id_: self.tweets[id_] for id_ in tweet_ids if id_ in self.tweets}
        await self._hook(self.after, "get_tweets")
        return rows

    async def user_tweets(self, user_id: int, before_id: int | None, limit: int) -> UserTweets:
        await self._begin("user_tweets")
        rows = sorted(self.own_tweets[user_id].values(), key=lambda row: -row.tweet_id)
        older = [row for row in rows if before_id is None or row.tweet_id < before_id]
        return UserTweets(tuple(older[:limit]), len(older) <= limit)

    async def user_tweet_ids(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        await self._begin("user_tweet_ids")
        older = sorted((id_ for id_ in self.own_tweets[user_id] if before_id is None or id_ < before_id), reverse=True)
        return UserTweetIds(tuple(older[:limit]), len(older) <= limit)

    async def tweet_ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        await self._begin("tweet_ids_by_user")
        return {id_: await self.user_tweet_ids(id_, before, limit) for id_, before in before_ids.items()}

    async def user_tweet(self, user_id: int, tweet_id: int) -> TweetRow | None:
        await self._begin("user_tweet")
        return self.own_tweets[user_id].get(tweet_id)

    # --- graph ------------------------------------------------------------------------------------------------

    async def edge(self, follower_id: int, followee_id: int) -> Edge | None:
        await self._begin("edge")
        return self.edges_of[follower_id].get(followee_id)

    async def edges(self, follower_id: int, followee_ids: Sequence[int]) -> dict[int, Edge]:
        await self._begin("edges")
        return {id_: edge for id_, edge in self.edges_of[follower_id].items() if id_ in followee_ids}

    async def write_edge(self, edge: Edge, event: Event) -> None:
        await self._begin("write_edge")
        for table, key in (
            (self.edges_of[edge.follower_id], edge.followee_id),
            (self.mirror[edge.followee_id], edge.follower_id),
        ):
            old = table.get(key)
            if old is None or edge.version_us > old.version_us:
                table[key] = edge
        self.log[event.id] = event
        await self._hook(self.after, "write_edge")

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        await self._begin("following")
        edges = tuple(edge for _, edge in sorted(self.edges_of[follower_id].items()))
        await self._hook(self.after, "following")
        return edges

    async def followers(self, followee_id: int, after: int | None, limit: int) -> FollowersPage:
        await self._begin("followers")
        live = sorted(id_ for id_, edge in self.mirror[followee_id].items() if edge.on and id_ > (after or 0))
        page = tuple(live[:limit])
        return FollowersPage(page, page[-1] if len(live) > limit else None)

    # --- tiers ------------------------------------------------------------------------------------------------

    async def tiers(self) -> tuple[AuthorTier, ...]:
        await self._begin("tiers")
        return tuple(self.author_tiers.values())

    async def set_tier(self, expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        await self._begin("set_tier")
        if self.author_tiers.get(tier.author_id) == expected:
            self.author_tiers[tier.author_id] = tier
        return self.author_tiers[tier.author_id]

    # --- outbox, leases ---------------------------------------------------------------------------------------

    async def append(self, event: Event) -> None:
        await self._begin("append")
        self.log[event.id] = event
        await self._hook(self.after, "append")

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        await self._begin("read")
        return tuple(
            OutboxRow(id_, encode(event), event)
            for id_, event in sorted(self.log.items())
            if shard_of(event.subject, self.shards) == shard and since_ms <= time_ms(id_) < until_ms and window_of(id_)
        )

    async def load_progress(self, reader: str, shard: int) -> Progress:
        await self._begin("load_progress")
        return self.progress.get(shard, Progress(0, 0))

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        await self._begin("dead_letters")
        return tuple(self.dead)

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        await self._begin("read_leases")
        return {name: self.leases[name] for name in names if name in self.leases}
