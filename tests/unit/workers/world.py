"""A small exact world for workers: time that only the test moves, a truth whose tables a test commits one by one, and
cache nodes that break, fail over to a prefix and restart empty."""

from __future__ import annotations

import asyncio
import copy
import heapq
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rookery_server.cache.interface import Delivered, Link, Marks
from rookery_server.domain import events, ids, limits
from rookery_server.domain.errors import CacheUnavailable, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute, User
from rookery_server.metrics import Metrics
from rookery_server.store.interface import (
    Count,
    CountKind,
    DeadLetter,
    FollowersPage,
    FollowRequestsPage,
    Lease,
    NameClaim,
    OutboxRow,
    Progress,
    TweetRow,
    UserTweetIds,
    UserTweets,
    WindowPrint,
    released_of,
)
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings

SHARDS = 4
START_MS = 1_700_000_040_000
"""The start of a window."""


@dataclass
class Unasked:
    """Nobody stops it; `hurry`: the author's next event waits."""

    hurry: bool = False

    def check(self) -> None: ...

    def hurried(self) -> bool:
        return self.hurry


class Time:
    """`advance` moves it, waking who sleeps, in order; nobody else does."""

    def __init__(self) -> None:
        self.wall_ms, self.mono = float(START_MS), 100.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ms(self) -> int:
        return int(self.wall_ms)

    def monotonic(self) -> float:
        return self.mono

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        waker = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.mono + seconds, self._count, waker))
        await waker

    async def advance(self, seconds: float) -> None:
        until = self.mono + seconds
        await spin()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, waker = heapq.heappop(self._sleepers)
            self._move(max(at, self.mono))
            if not waker.done():
                waker.set_result(None)
            await spin()
        self._move(until)
        await spin()

    def _move(self, mono: float) -> None:
        self.wall_ms += (mono - self.mono) * 1000
        self.mono = mono


async def spin() -> None:
    """Lets everything run that can run without time passing: until nothing is ready but who asks."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # asyncio tells nobody
    for _ in range(100):
        await asyncio.sleep(0)
        if not ready:
            return


class Truth:
    """What a worker reads of Cassandra.  `hook` is awaited before each call with its name; `down` refuses all."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.tweets: dict[tuple[int, int], TweetRow] = {}
        self.edge_rows: dict[tuple[int, int], Edge] = {}
        self.mirror: dict[tuple[int, int], Edge] = {}
        self.log: list[OutboxRow] = []
        self.shard_of_row: dict[int, int] = {}
        self.block_rows: dict[tuple[int, int], Block] = {}
        self.blocked_mirror: dict[tuple[int, int], Block] = {}
        self.mute_rows: dict[tuple[int, int], Mute] = {}
        self.tier_rows: dict[int, AuthorTier] = {}
        self.count_rows: dict[tuple[int, CountKind, int], Count] = {}
        self.recounted: list[tuple[int, CountKind, int]] = []
        self.progress: dict[int, Progress] = {}
        self.counted: dict[int, Progress] = {}
        """Progress of the reader `counts`."""
        self.dead: dict[int, DeadLetter] = {}
        self.released: dict[int, DeadLetter] = {}
        self.leases: dict[str, Lease] = {}
        self.offsets: tuple[int, ...] = (0, 0, 0)
        self.down = False
        self.reads: list[tuple[int, int, int]] = []
        self.hook: Callable[[str], Awaitable[None]] | None = None

    shards = SHARDS

    async def _ask(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.hook is not None:
            await self.hook(what)
        if self.down:
            raise StoreUnavailable

    # tweets and graph

    async def user_tweet(self, user_id: int, tweet_id: int) -> TweetRow | None:
        await self._ask("user_tweet")
        return self.tweets.get((user_id, tweet_id))

    async def edge(self, follower_id: int, followee_id: int) -> Edge | None:
        await self._ask("edge")
        return self.edge_rows.get((follower_id, followee_id))

    async def repair_mirror(self, edge: Edge) -> None:
        await self._ask("repair_mirror")
        old = self.mirror.get((edge.followee_id, edge.follower_id))
        if old is None or old.version_us <= edge.version_us:
            self.mirror[edge.followee_id, edge.follower_id] = edge

    async def followers(self, followee_id: int, after: int | None, limit: int) -> FollowersPage:
        await self._ask("followers")
        live = sorted(f for (a, f), edge in self.mirror.items() if a == followee_id and edge.on and f > (after or 0))
        page = tuple(live[:limit])
        return FollowersPage(page, page[-1] if len(live) > limit else None)

    async def cut_edge(self, edge: Edge) -> None:
        await self._ask("cut_edge")
        old = self.edge_rows.get((edge.follower_id, edge.followee_id))
        if old is None or old.version_us <= edge.version_us:
            self.edge_rows[edge.follower_id, edge.followee_id] = edge
        await self.repair_mirror(edge)

    # relations, accounts, tiers, counts

    async def block(self, blocker_id: int, blocked_id: int) -> Block | None:
        await self._ask("block")
        return self.block_rows.get((blocker_id, blocked_id))

    async def repair_block(self, block: Block) -> None:
        await self._ask("repair_block")
        self.blocked_mirror[block.blocked_id, block.blocker_id] = block

    async def mute(self, muter_id: int, muted_id: int) -> Mute | None:
        await self._ask("mute")
        return self.mute_rows.get((muter_id, muted_id))

    async def settled_user(self, user_id: int) -> User | None:
        await self._ask("settled_user")
        return None

    async def tiers(self) -> tuple[AuthorTier, ...]:
        await self._ask("tiers")
        return tuple(self.tier_rows.values())

    async def set_tier(self, expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        await self._ask("set_tier")
        if self.tier_rows.get(tier.author_id) == expected:
            self.tier_rows[tier.author_id] = tier
        return self.tier_rows[tier.author_id]

    def count_parts(self, kind: CountKind, row_id: int) -> tuple[int, ...]:
        """Followers in two parts, as of an account that has spread: the odd and the even ones, and part 0 for all."""
        match kind:
            case CountKind.FOLLOWERS:
                return 0, 1 + row_id % 2
            case CountKind.FOLLOWING:
                return (0,)
            case CountKind.TWEETS:
                return (row_id >> 53,)

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        await self._ask("counts")
        rows = [count for count in self.count_rows.values() if count.subject_id in subject_ids]
        return {id_: of for id_ in subject_ids if (of := tuple(row for row in rows if row.subject_id == id_))}

    async def write_count(self, count: Count) -> None:
        await self._ask("write_count")
        key = count.subject_id, count.kind, count.part
        old = self.count_rows.get(key)
        if old is None or (old.counted_us, old.value) < (count.counted_us, count.value):
            self.count_rows[key] = count

    async def recount(self, subject_id: int, kind: CountKind, part: int) -> int:
        await self._ask("recount")
        self.recounted.append((subject_id, kind, part))
        value = self.true_count(subject_id, kind, part)
        await self._ask("recounted")
        return value

    def true_count(self, subject_id: int, kind: CountKind, part: int) -> int:
        match kind:
            case CountKind.FOLLOWERS:
                live = [f for (a, f), edge in self.mirror.items() if a == subject_id and edge.on]
                return sum(1 + f % 2 == part for f in live)
            case CountKind.FOLLOWING:
                return sum(edge.on for (f, _), edge in self.edge_rows.items() if f == subject_id)
            case CountKind.TWEETS:
                return sum(a == subject_id and row.body != b"" for (a, _), row in self.tweets.items())

    # the log

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        await self._ask("read")
        self.reads.append((shard, since_ms, until_ms))
        return tuple(
            row
            for row in sorted(self.log, key=lambda row: row.event_id)
            if self.shard_of_row[row.event_id] == shard and since_ms <= ids.time_ms(row.event_id) < until_ms
        )

    async def load_progress(self, reader: str, shard: int) -> Progress:
        await self._ask("load_progress")
        return self._progress(reader).get(shard, Progress(0, 0))

    def _progress(self, reader: str) -> dict[int, Progress]:
        return self.counted if reader == "counts" else self.progress

    async def save_progress(
        self, reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
    ) -> bool:
        await self._ask("save_counted" if reader == "counts" else "save_progress")
        saved = self._progress(reader)
        old = saved.get(shard, Progress(0, 0))
        if old.fence > fence:
            return False
        saved[shard] = Progress(fence, checkpoint_ms, {**old.windows, **{one.window: one for one in windows}})
        return True

    async def bury(self, reader: str, letter: DeadLetter) -> None:
        await self._ask("bury")
        self._filed(reader)[letter.event_id] = letter

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        await self._ask("dead_letters")
        return tuple(self._filed(reader).values())

    def _filed(self, reader: str) -> dict[int, DeadLetter]:
        return self.released if reader == released_of("fanout") else self.dead

    # leases and clocks

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        await self._ask("read_leases")
        return {name: self.leases[name] for name in names if name in self.leases}

    async def _swap(self, expected: Lease | None, new: Lease) -> Lease | None:
        if self.leases.get(new.name) != expected:
            return None
        self.leases[new.name] = new
        return new

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        await self._ask("take_lease")
        old = expected or Lease(name, "", 0, 0, 0)
        return await self._swap(expected, replace(old, owner=owner, fence=old.fence + 1, renewals=old.renewals + 1))

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        await self._ask("renew_lease")
        return await self._swap(lease, replace(lease, renewals=lease.renewals + 1))

    async def release_lease(self, lease: Lease) -> bool:
        await self._ask("release_lease")
        return await self._swap(lease, replace(lease, owner="")) is not None

    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        await self._ask("coordinator_clocks_ms")
        return self.offsets

    # what no worker asks for

    async def post(self, row: TweetRow, event: Event) -> None:
        raise NotImplementedError

    async def delete(self, tweet_id: int, author_id: int, event: Event) -> None:
        raise NotImplementedError

    async def get_tweets(self, tweet_ids: Sequence[int]) -> dict[int, TweetRow]:
        raise NotImplementedError

    async def user_tweets(self, user_id: int, before_id: int | None, limit: int) -> UserTweets:
        raise NotImplementedError

    async def user_tweet_ids(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        raise NotImplementedError

    async def tweet_ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        raise NotImplementedError

    async def edges(self, follower_id: int, followee_ids: Sequence[int]) -> dict[int, Edge]:
        raise NotImplementedError

    async def write_edge(self, edge: Edge, event: Event) -> None:
        raise NotImplementedError

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        raise NotImplementedError

    async def blocks(self, blocker_id: int) -> tuple[Block, ...]:
        raise NotImplementedError

    async def blocked_by(self, blocked_id: int, limit: int) -> tuple[Block, ...]:
        raise NotImplementedError

    async def blockers_among(self, blocked_id: int, candidates: Sequence[int]) -> frozenset[int]:
        raise NotImplementedError

    async def write_block(self, block: Block, event: Event) -> None:
        raise NotImplementedError

    async def mutes(self, muter_id: int) -> tuple[Mute, ...]:
        raise NotImplementedError

    async def write_mute(self, mute: Mute, event: Event) -> None:
        raise NotImplementedError

    async def follow_request(self, target_id: int, requester_id: int) -> FollowRequest | None:
        return None

    async def follow_requests(self, target_id: int, after: int | None, limit: int) -> FollowRequestsPage:
        raise NotImplementedError

    async def write_follow_request(self, request: FollowRequest) -> None:
        raise NotImplementedError

    async def claim_name(self, name_key: str, claim: NameClaim) -> NameClaim:
        raise NotImplementedError

    async def take_over_name(self, name_key: str, expected: NameClaim, claim: NameClaim) -> NameClaim:
        raise NotImplementedError

    async def find_name(self, name_key: str) -> NameClaim | None:
        raise NotImplementedError

    async def create_user(self, user: User) -> User:
        raise NotImplementedError

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, User]:
        raise NotImplementedError

    async def replace_user(self, user: User, expected_etag: str) -> User:
        raise NotImplementedError

    async def append(self, event: Event) -> None:
        raise NotImplementedError


@dataclass
class Held:
    """What one primary holds."""

    lists: dict[str, list[int]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    stubs: dict[int, list[int]] = field(default_factory=dict)
    """The versions an account's relations were overwritten for."""
    changes: dict[int, set[int]] = field(default_factory=dict)
    """The events among them."""
    profiles: dict[int, list[int]] = field(default_factory=dict)
    """The versions an account's profile was overwritten with."""
    known: bool = False
    flushed_ms: int = 0
    marks: dict[int, int] = field(default_factory=dict)


class Node:
    """A primary: `held` is its data, `up` whether it answers; every break raises the generation of its links."""

    def __init__(self, name: str) -> None:
        self.name, self.held, self.up, self.generation = name, Held(known=True, flushed_ms=START_MS), True, 1
        self.refusing = False
        """OOM: the link lives, writes are refused."""
        self._replica = copy.deepcopy(self.held)

    def replicate(self) -> None:
        self._replica = copy.deepcopy(self.held)

    def fail_over(self) -> None:
        """The replica holds a prefix: what was there when it last replicated."""
        self.held = copy.deepcopy(self._replica)
        self.cut()
        self.up = True

    def restart_empty(self) -> None:
        self.held = Held()
        self.cut()
        self.up = True

    def cut(self, up: bool = True) -> None:
        self.generation += 1
        self.up = up

    def current(self, link: Link | None) -> bool:
        return link is not None and self.up and link.generation == self.generation


class Cache:
    """Three primaries; user or tweet n lives on node n mod 3."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.primaries = {name: Node(name) for name in ("n0", "n1", "n2")}
        self.plain: list[tuple[int, int]] = []
        """(follower, tweet) pushed on top."""
        self.calls: list[tuple[str, int, tuple[int, ...]]] = []
        self.hook: Callable[[str], Awaitable[None]] | None = None
        self._rings: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    def node(self, number: int) -> Node:
        return self.primaries[f"n{number % 3}"]

    def home(self, user_id: int) -> list[int]:
        return self.node(user_id).held.lists[f"h{user_id}"]

    def build(self, user_id: int, *tweet_ids: int) -> None:
        self.node(user_id).held.lists[f"h{user_id}"] = list(tweet_ids)

    async def _ask(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.hook is not None:
            await self.hook(what)

    def nodes(self) -> frozenset[str]:
        return frozenset(self.primaries)

    async def open_links(self) -> dict[str, Link]:
        await asyncio.sleep(0)
        return {name: Link(name, node.generation) for name, node in self.primaries.items() if node.up}

    def _reaches(self, node: Node, links: Mapping[str, Link]) -> bool:
        return node.current(links.get(node.name)) and not node.refusing

    async def deliver(
        self, tweet_id: int, follower_ids: Sequence[int], links: Mapping[str, Link], in_place: bool
    ) -> Delivered:
        await self._ask("deliver")
        self.calls.append(("deliver", tweet_id, tuple(follower_ids)))
        plain = not in_place and self._time.now_ms() - ids.time_ms(tweet_id) < limits.PLAIN_PUSH_MS
        counts, behind = {"pushed": 0, "inserted": 0, "duplicate": 0, "inactive": 0}, set()
        for follower_id in follower_ids:
            node = self.node(follower_id)
            if not self._reaches(node, links):
                behind.add(node.name)
                continue
            if plain and f"h{follower_id}" in node.held.lists:
                self.plain.append((follower_id, tweet_id))
            counts[self._add(node, f"h{follower_id}", tweet_id, plain)] += 1
        return Delivered(**counts, behind=frozenset(behind))

    def _add(self, node: Node, key: str, tweet_id: int, plain: bool) -> str:
        entries = node.held.lists.get(key)
        if entries is None:
            return "inactive"
        if plain:
            entries.insert(0, tweet_id)
            return "pushed"
        if entries.count(tweet_id) == 1:
            return "duplicate"
        entries[:] = [entry for entry in entries if entry != tweet_id]  # as the script that places: doubles are healed
        entries.insert(sum(entry > tweet_id for entry in entries), tweet_id)
        return "inserted"

    async def place_author(self, author_id: int, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        await self._ask("place_author")
        self.calls.append(("place_author", tweet_id, (author_id,)))
        node = self.node(author_id)
        if not self._reaches(node, links):
            return Delivered(behind=frozenset({node.name}))
        for key in (f"u{author_id}", f"h{author_id}"):
            self._add(node, key, tweet_id, plain=False)
        return Delivered(inserted=1)

    async def overwrite_deleted(self, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        await self._ask("overwrite_deleted")
        node = self.node(tweet_id)
        if not self._reaches(node, links):
            return Delivered(behind=frozenset({node.name}))
        node.held.deleted.add(tweet_id)
        return Delivered(inserted=1)

    async def overwrite_relations(
        self, user_id: int, version: int, links: Mapping[str, Link], change: int | None = None
    ) -> Delivered:
        await self._ask("overwrite_relations")
        node = self.node(user_id)
        if not self._reaches(node, links):
            return Delivered(behind=frozenset({node.name}))
        if change is not None and change in node.held.changes.setdefault(user_id, set()):
            return Delivered(duplicate=1)
        if change is not None:
            node.held.changes[user_id].add(change)
        node.held.stubs.setdefault(user_id, []).append(version)
        node.held.lists.pop(f"h{user_id}", None)
        return Delivered(inserted=1)

    async def overwrite_profile(self, user_id: int, version: int, links: Mapping[str, Link]) -> Delivered:
        await self._ask("overwrite_profile")
        node = self.node(user_id)
        if not self._reaches(node, links):
            return Delivered(behind=frozenset({node.name}))
        node.held.profiles.setdefault(user_id, []).append(version)
        return Delivered(inserted=1)

    def _over(self, link: Link) -> Held:
        node = self.primaries[link.node]
        if not node.current(link):
            raise CacheUnavailable
        return node.held

    async def read_node_marks(self, link: Link) -> Marks:
        await self._ask("read_node_marks")
        held = self._over(link)
        if not held.known:
            return Marks(link, False)
        return Marks(link, True, dict(held.marks), held.flushed_ms)

    async def advance(self, link: Link, moves: Mapping[int, tuple[int | None, int]]) -> dict[int, bool]:
        await self._ask("advance")
        held, done = self._over(link), dict[int, bool]()
        for shard, (expected, new) in moves.items():
            done[shard] = held.known and held.marks.get(shard) == expected
            if done[shard]:
                held.marks[shard] = new
        return done

    async def adopt_empty(self, link: Link, now_ms: int, stale_ms: int | None = None) -> bool:
        await self._ask("adopt_empty")
        held = self._over(link)
        if held.known and (stale_ms is None or held.flushed_ms != stale_ms):
            return False
        self.primaries[link.node].held = Held(known=True, flushed_ms=now_ms)
        return True

    def ring(self, shard: int, event: bytes) -> None:
        self._rings.put_nowait((shard, event))

    async def listen(self, shards: frozenset[int]) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            shard, event = await self._rings.get()
            if shard in shards:
                yield shard, event


class World:
    """`settings` are the worker's; every worker shares truth, cache and time."""

    def __init__(self, settings: WorkerSettings | None = None) -> None:
        self.time = Time()
        self.truth, self.cache = Truth(self.time), Cache(self.time)
        self.settings = settings or WorkerSettings(follower_page=3)
        self._sequence = 0
        self._workers: list[tuple[Worker, asyncio.Task[None]]] = []

    # --- the servers' side --------------------------------------------------------------------------------------

    def mint(self, age_s: float = 0.0) -> int:
        self._sequence += 1
        return ids.compose(self.time.now_ms() - int(age_s * 1000), 9, self._sequence % 1000)

    def follow(self, follower_id: int, *followee_ids: int) -> None:
        """Long ago: in the truth and no event left."""
        for followee_id in followee_ids:
            edge = Edge(follower_id, followee_id, True, 1)
            self.truth.edge_rows[follower_id, followee_id] = edge
            self.truth.mirror[followee_id, follower_id] = edge

    def post(
        self, author_id: int, *, age_s: float = 0.0, row: bool = True, event: bool = True, repeat: bool = False,
        ring: bool = False,
    ) -> int:  # fmt: skip
        """The tweet's id.  `row`, `event`: which tables of the batch are readable by now."""
        tweet_id = self.mint(age_s)
        version = ids.write_timestamp_us(tweet_id)
        announced = Event(self.mint(age_s), EventKind.POST, author_id, tweet_id, version, repeat)
        if row:
            self.commit_tweet(author_id, tweet_id)
        if event:
            self.commit(announced)
        if ring:
            self.cache.ring(self.shard(author_id), events.encode(announced))
        return tweet_id

    def commit_tweet(self, author_id: int, tweet_id: int) -> None:
        self.truth.tweets[author_id, tweet_id] = TweetRow(tweet_id, author_id, b"x", ids.write_timestamp_us(tweet_id))

    def commit(self, event: Event) -> None:
        self.commit_raw(event.subject, event.id, events.encode(event), event)

    def commit_raw(self, subject: int, event_id: int, raw: bytes, event: Event | None = None, error: str = "") -> None:
        self.truth.log.append(OutboxRow(event_id, raw, event, error))
        self.truth.shard_of_row[event_id] = self.shard(subject)

    def delete(self, author_id: int, tweet_id: int) -> None:
        event_id = self.mint()
        version = ids.later_timestamp_us(event_id, ids.write_timestamp_us(tweet_id))
        self.truth.tweets[author_id, tweet_id] = TweetRow(tweet_id, author_id, b"", version)
        self.commit(Event(event_id, EventKind.DELETE, author_id, tweet_id, version))

    def change_edge(self, follower_id: int, followee_id: int, on: bool, mirrored: bool = True) -> Edge:
        event_id = self.mint()
        edge = Edge(follower_id, followee_id, on, ids.write_timestamp_us(event_id))
        self.truth.edge_rows[follower_id, followee_id] = edge
        if mirrored:
            self.truth.mirror[followee_id, follower_id] = edge
        kind = EventKind.FOLLOW if on else EventKind.UNFOLLOW
        self.commit(Event(event_id, kind, follower_id, followee_id, edge.version_us))
        return edge

    def shard(self, subject: int) -> int:
        return events.shard_of(subject, SHARDS)

    # --- the workers' side --------------------------------------------------------------------------------------

    def worker(self, owner: str = "a", settings: WorkerSettings | None = None) -> Worker:
        return Worker(
            self.truth, self.cache, self.time, settings or self.settings, owner, Metrics(), sleep=self.time.sleep,
            choice=random.Random(owner),
        )  # fmt: skip

    async def start(self, owner: str = "a") -> Worker:
        """A worker that runs; it has taken its shards and caught up when this returns."""
        worker = self.worker(owner)
        self._workers.append((worker, asyncio.create_task(worker.run())))
        await self.time.advance(4)
        return worker

    async def kill(self, worker: Worker) -> None:
        """It ends where it stands: nothing saved, nothing released."""
        for running, task in self._workers:
            if running is worker:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._workers = [(running, task) for running, task in self._workers if running is not worker]

    async def close(self) -> None:
        for worker, _ in list(self._workers):
            await self.kill(worker)

    def marks(self, subject: int) -> dict[str, int | None]:
        """W of the subject's shard in every node."""
        shard = self.shard(subject)
        return {name: node.held.marks.get(shard) for name, node in self.cache.primaries.items()}

    def claim(self, subject: int) -> int:
        """The lowest W of the subject's shard; 0 while a node claims nothing."""
        return min(mark or 0 for mark in self.marks(subject).values())


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0
