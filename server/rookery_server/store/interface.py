"""What the truth must do: role-sized contracts over Cassandra.

True of every method: reads are at LOCAL_QUORUM and see every write that was acked before they began; a call that
cannot be answered raises `StoreUnavailable`, whose `outcome` says for a write whether nothing happened (`NONE`) or
nobody knows (`UNKNOWN`); nothing else of the driver ever comes through.  Writes are safe to repeat with the same
arguments: they carry their timestamps, so a repeat changes nothing and can bring nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rookery_server.domain.events import Event
from rookery_server.domain.models import Edge, Profile, User

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

    async def update_profile(self, user_id: int, profile: Profile, expected_etag: str, etag: str) -> User:
        """Stores the edit if the etag is still the expected one; returns the row that stands now (its etag tells
        whether the edit is in it).  Raises NotFound."""
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


class OutboxStore(Protocol):
    """`shards` is fixed when the keyspace is created; adapters file an event by `events.shard_of(subject, shards)`."""

    @property
    def shards(self) -> int: ...

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


class Store(UserStore, RequestStore, TweetStore, GraphStore, OutboxStore, LeaseStore, ClockStore, Protocol):
    """All of it: what an adapter provides."""

    async def close(self) -> None: ...
