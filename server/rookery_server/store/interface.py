"""What the truth must do: role-sized contracts over Cassandra.

True of every method: reads are at LOCAL_QUORUM and see every write that was acked before they began; a call that
cannot be answered raises `StoreUnavailable`, whose `outcome` says for a write whether nothing happened (`NONE`) or
nobody knows (`UNKNOWN`); nothing else of the driver ever comes through.  Writes are safe to repeat with the same
arguments: they carry their timestamps, so a repeat changes nothing and can bring nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from rookery_server.domain.events import Event
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.models import Block, Edge, FollowRequest, Mute, User

# --- users ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NameClaim:
    """Who holds a name: `request_hash` lets the retry of a crashed sign-up recognise its own claim."""

    user_id: int
    request_hash: bytes
    claimed_ms: int


class UserStore(Protocol):
    """`users` and `usernames`: compare-and-set tables, never written with timestamps."""

    async def claim_name(self, name_key: str, claim: NameClaim) -> NameClaim:
        """Claims a case-folded name for ever; returns the claim that stands (ours, or the earlier one)."""
        ...

    async def take_over_name(self, name_key: str, expected: NameClaim, claim: NameClaim) -> NameClaim:
        """Replaces a claim whose account was never created, if it is still `expected`; returns what stands."""
        ...

    async def find_name(self, name_key: str) -> NameClaim | None: ...

    async def create_user(self, user: User) -> User:
        """Creates the account unless it exists; returns the one that stands."""
        ...

    async def get_users(self, user_ids: Sequence[int]) -> dict[int, User]:
        """Unknown ids are absent from the answer."""
        ...

    async def replace_user(self, user: User, expected_etag: str) -> User:
        """Stores name, profile, `protected`, state and etag of `user` if the stored etag is still the expected one
        (never its create time); returns the row that stands: `user`, or what stood against it.  Raises NotFound."""
        ...

    async def settled_user(self, user_id: int) -> User | None:
        """At SERIAL: a change that was proposed before is by then in the answer, or will never happen."""
        ...


# --- idempotency --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """`fresh`: this call made the row.  Otherwise hash and result are those of the first attempt."""

    fresh: bool
    content_hash: bytes
    result_id: int


class RequestStore(Protocol):
    async def claim_request(self, caller: int, request_id: str, content_hash: bytes, result_id: int) -> RequestClaim:
        """Binds a request id to one content and one result id for 24 h (compare-and-set)."""
        ...


# --- tweets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TweetRow:
    """`body`: the serialised Tweet, empty for ever once deleted.  `version_us`: the row's write timestamp."""

    tweet_id: int
    author_id: int
    body: bytes
    version_us: int


@dataclass(frozen=True, slots=True)
class UserTweets:
    """Newest first.  `end`: there is nothing older than the last row (or nothing at all)."""

    rows: tuple[TweetRow, ...]
    end: bool


@dataclass(frozen=True, slots=True)
class UserTweetIds:
    """Newest first, deleted ones included (their bodies say so).  `end` as in `UserTweets`."""

    ids: tuple[int, ...]
    end: bool


class TweetStore(Protocol):
    async def post(self, row: TweetRow, event: Event) -> None:
        """`tweets`, `user_tweets` (and its bucket row when new) and the event, wholly or not at all, perhaps late.

        One attempt: it ends within 3 s of `event.id`'s time.  A repeat uses the same row and a **new** event."""
        ...

    async def delete(self, tweet_id: int, author_id: int, event: Event) -> None:
        """Empties the body in both tables at `event.version` and writes the event, wholly or not at all."""
        ...

    async def get_tweets(self, tweet_ids: Sequence[int]) -> dict[int, TweetRow]:
        """Unknown ids are absent; deleted ones are there with an empty body."""
        ...

    async def user_tweets(self, user_id: int, before_id: int | None, limit: int) -> UserTweets:
        """An author's rows with ids below `before_id` (None: from the newest), at most `limit`, deleted included."""
        ...

    async def user_tweet_ids(self, user_id: int, before_id: int | None, limit: int) -> UserTweetIds:
        """The same without the bodies."""
        ...

    async def tweet_ids_by_user(self, before_ids: Mapping[int, int | None], limit: int) -> dict[int, UserTweetIds]:
        """`user_tweet_ids` of many with few requests: by user, each below its own bound.  Each author's rows are read
        at a quorum of their own, at any moment between the call and its answer.  All of them, or StoreUnavailable."""
        ...

    async def user_tweet(self, user_id: int, tweet_id: int) -> TweetRow | None:
        """One row of `user_tweets` at a quorum.  What was seen here is seen by every later quorum read: the read
        repairs the replicas it asked before it answers."""
        ...


# --- graph --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FollowersPage:
    """Live followers in ascending id order.  `next_after` is None only after the last page; pages may be short."""

    follower_ids: tuple[int, ...]
    next_after: int | None


class GraphStore(Protocol):
    async def edge(self, follower_id: int, followee_id: int) -> Edge | None:
        """The truth of one pair; None if there was never one, or its removal is older than 8 days."""
        ...

    async def edges(self, follower_id: int, followee_ids: Sequence[int]) -> dict[int, Edge]:
        """By followee, from one follower's own partition; absent pairs are absent."""
        ...

    async def write_edge(self, edge: Edge, event: Event) -> None:
        """Both mirrors with identical columns and timestamp `edge.version_us`, and the event, in one batch.
        A removal (`on = False`) lives 8 days."""
        ...

    async def repair_mirror(self, edge: Edge) -> None:
        """Writes `edge` into the followers side, in every shard the follower could be in."""
        ...

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        """All of one follower's edges by followee id, the removed ones of the last 8 days included."""
        ...

    async def followers(self, followee_id: int, after: int | None, limit: int) -> FollowersPage:
        """Live followers with ids above `after`."""
        ...

    async def cut_edge(self, edge: Edge) -> None:
        """A removal (`on = False`) into both mirrors, in every shard the follower could be in, without an event: for
        those who apply an event that asks for it."""
        ...


# --- blocks, mutes, requests ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FollowRequestsPage:
    """Live requests in ascending requester order.  `next_after` is None only after the last page."""

    requests: tuple[FollowRequest, ...]
    next_after: int | None


class RelationStore(Protocol):
    """`blocks` and its mirror `blocked_by`, `mutes`, `follow_requests`.  Versions are write timestamps, removals states
    that live 8 days, exactly as with edges."""

    async def block(self, blocker_id: int, blocked_id: int) -> Block | None: ...

    async def blocks(self, blocker_id: int) -> tuple[Block, ...]:
        """All of one blocker's, those lifted in the last 8 days included."""
        ...

    async def blocked_by(self, blocked_id: int, limit: int) -> tuple[Block, ...]:
        """At most `limit` rows of the mirror, those lifted in the last 8 days included."""
        ...

    async def blockers_among(self, blocked_id: int, candidates: Sequence[int]) -> frozenset[int]:
        """Those of `candidates` who block that account now."""
        ...

    async def write_block(self, block: Block, event: Event) -> None:
        """Both mirrors and the event, in one batch."""
        ...

    async def repair_block(self, block: Block) -> None:
        """Writes `block` into the mirror."""
        ...

    async def mute(self, muter_id: int, muted_id: int) -> Mute | None: ...

    async def mutes(self, muter_id: int) -> tuple[Mute, ...]:
        """All of one muter's, those lifted in the last 8 days and those that ended included."""
        ...

    async def write_mute(self, mute: Mute, event: Event) -> None:
        """The row and the event, in one batch."""
        ...

    async def follow_request(self, target_id: int, requester_id: int) -> FollowRequest | None: ...

    async def follow_requests(self, target_id: int, after: int | None, limit: int) -> FollowRequestsPage:
        """Live ones with requester ids above `after`."""
        ...

    async def write_follow_request(self, request: FollowRequest) -> None: ...


# --- tiers and counts -----------------------------------------------------------------------------------------------


class TierStore(Protocol):
    """`author_tiers`: few rows in one partition, written by compare-and-set."""

    async def tiers(self) -> tuple[AuthorTier, ...]: ...

    async def set_tier(self, expected: AuthorTier | None, tier: AuthorTier) -> AuthorTier:
        """Writes `tier` if the author's row is still `expected` (None: absent); returns the row that stands."""
        ...


class CountKind(StrEnum):
    FOLLOWERS = "followers"
    FOLLOWING = "following"
    TWEETS = "tweets"


@dataclass(frozen=True, slots=True)
class Count:
    """What one part of a subject's rows came to at a time.  `part`: the follower shard, 0, or the tweet bucket."""

    subject_id: int
    kind: CountKind
    part: int
    value: int
    counted_us: int


class CountStore(Protocol):
    def count_parts(self, kind: CountKind, row_id: int) -> tuple[int, ...]:
        """The parts of a subject's count that one row can be in, by the follower's, followee's or tweet's id.  Never
        waits."""
        ...

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        """All stored parts of each; subjects never counted are absent."""
        ...

    async def write_count(self, count: Count) -> None:
        """At timestamp `counted_us`: the later count stands."""
        ...

    async def recount(self, subject_id: int, kind: CountKind, part: int) -> int:
        """Live rows of that part, read at LOCAL_QUORUM: edges that are on, tweets with a body."""
        ...


# --- outbox -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """`event` is None when the bytes cannot be decoded; `error` says why."""

    event_id: int
    raw: bytes
    event: Event | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class WindowPrint:
    """What a reader has seen of a closed window: count and XOR of its event ids, and how many audits it passed."""

    window: int
    count: int
    xor: int
    audits: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`checkpoint_ms`: every event of this shard with an earlier id is applied or dead.  0 = never saved."""

    fence: int
    checkpoint_ms: int
    windows: Mapping[int, WindowPrint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    shard: int
    event_id: int
    raw: bytes
    error: str


def released_of(reader: str) -> str:
    """The reader under whose name a dead letter of `reader` is filed once more to say that it was released: no claim
    waits for it any longer."""
    return f"{reader}/released"


class OutboxStore(Protocol):
    """`shards` is fixed when the keyspace is created; adapters file an event by `events.shard_of(subject, shards)`."""

    @property
    def shards(self) -> int: ...

    async def append(self, event: Event) -> None:
        """The event alone."""
        ...

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        """All rows with `since_ms` ≤ time of the id < `until_ms`, ascending by event id."""
        ...

    async def load_progress(self, reader: str, shard: int) -> Progress:
        """With the prints of the windows of the last two days."""
        ...

    async def save_progress(
        self, reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
    ) -> bool:
        """Compare-and-set on the fence: False, and nothing written, if a higher fence has written before.
        Given windows are added or replaced.  Unknown outcomes raise."""
        ...

    async def bury(self, reader: str, letter: DeadLetter) -> None:
        """Files an event that cannot be decoded.  Burying twice is burying once."""
        ...

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        """Those of the last `days` days."""
        ...


# --- leases and clocks --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lease:
    """A row that never expires.  `owner` is empty when released.  `ceiling_ms`: nothing was minted above it."""

    name: str
    owner: str
    fence: int
    renewals: int
    ceiling_ms: int


class LeaseStore(Protocol):
    """Compare-and-set on (owner, fence, renewals).  An unknown outcome raises: the caller holds nothing then."""

    async def read_leases(self, names: Sequence[str]) -> dict[str, Lease]:
        """At SERIAL; names never taken are absent."""
        ...

    async def take_lease(self, name: str, expected: Lease | None, owner: str, ceiling_ms: int) -> Lease | None:
        """Takes the lease if it is still exactly `expected` (None: never taken): fence + 1, renewals + 1,
        ceiling = max(old, new).  None if it is not."""
        ...

    async def renew_lease(self, lease: Lease, ceiling_ms: int) -> Lease | None:
        """renewals + 1 and ceiling = max, if it is still exactly `lease`; None if it was taken or changed."""
        ...

    async def release_lease(self, lease: Lease) -> bool:
        """Empties the owner; fence, renewals and ceiling stay.  False if it was taken or changed."""
        ...


class ClockStore(Protocol):
    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        """Offset (coordinator − here, in ms, half the round trip taken off) of up to three coordinators."""
        ...


class Store(
    UserStore,
    RequestStore,
    TweetStore,
    GraphStore,
    RelationStore,
    TierStore,
    CountStore,
    OutboxStore,
    LeaseStore,
    ClockStore,
    Protocol,
):
    """All of it: what an adapter provides."""

    async def close(self) -> None: ...
