"""What the cache must do: disposable copies, and proof of what they hold.

The cache is a cluster of primaries, each called a *node* and named by its shard id, which outlives failovers.  All
work runs over **links**: a `Link` is one unbroken connection to one node.  Break, time-out, MOVED, ASK, READONLY,
LOADING, CLUSTERDOWN all end a link; the next one has a higher generation.  Completeness is claimed only for what was
read over a link on which the node's watermarks had been read *before* (docs/protocols/claim.md), which is why links
show in these contracts.

True of every method: data may be gone at any time; `CacheUnavailable` when the node cannot answer (for a read: treat
as missing; for a write: unknown).  Nothing here ever blocks a write to the truth.  Bodies are framed
(`domain.frames`); an empty body is the *deleted* marker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rookery_server.domain.models import Relations


@dataclass(frozen=True, slots=True)
class Link:
    node: str
    generation: int


# --- watermarks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marks:
    """One node's watermarks as read over `link`.

    `known`: the hash exists and carries this node's own shard id; otherwise the node is new or was emptied, claims
    nothing, and `marks` is empty.  `marks`: outbox shard → W, Unix ms: everything of that shard up to W is applied
    on this node.  `flushed_ms`: when the node was last declared empty (0: never): a shard without a mark may start
    at `flushed_ms` − 5 s.
    """

    link: Link
    known: bool
    marks: Mapping[int, int] = field(default_factory=dict)
    flushed_ms: int = 0


class Watermarks(Protocol):
    async def read_marks(self) -> dict[str, Marks | None]:
        """Of every node of the topology; None for one that cannot be reached now.  Opens links where needed."""
        ...

    def is_current(self, link: Link) -> bool:
        """Whether that connection is still unbroken.  Never waits."""
        ...


# --- lists ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RelationsRead:
    """What stands in the cache, to be handed back to `store_relations`.  `seen`: the raw value (None: absent), read
    over `link`.  `relations` is None when the value is absent or a stub; `version` is then the stub's version, or 0."""

    link: Link
    seen: bytes | None
    version: int
    relations: Relations | None


@dataclass(frozen=True, slots=True)
class HomeRead:
    """A slice of a home list as it stands: newest first within D = 10 s, perhaps with doubles.

    `exists` is False for an absent list and for one under build (a token in it).  `reached_end`: the slice holds the
    list's last position.  `whole`: the list ends with the end mark: it holds the whole history.  `built_under`: the
    relations version of `hm:`; `built_ms`: when that build began, Unix ms.  Marks and tokens are never in `ids`.
    """

    link: Link
    exists: bool
    ids: tuple[int, ...]
    reached_end: bool
    whole: bool
    built_under: int | None
    relations: RelationsRead
    built_ms: int = 0


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """A stretch of a home timeline below the list, kept for the pages to come: every id of [floor, below) as merged
    from the truth.  `version`: of the relations it was merged under; `claim_ms`: what that merge may claim."""

    below: int
    floor: int
    ids: tuple[int, ...]
    version: int
    claim_ms: int


@dataclass(frozen=True, slots=True)
class ProfileRead:
    """What stands in the cache, to be handed back to `store_profiles`.  `seen`: the raw value (None: absent), read over
    `link`.  `value` is None when absent or a stub."""

    link: Link
    seen: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class AuthorRead:
    """An author's list, newest first within D.  `exists` False = missing (never "no posts").  `whole` as above,
    True only if the read reached the end mark."""

    link: Link
    exists: bool
    ids: tuple[int, ...]
    reached_end: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class LoadedList:
    """An author's list as read from the truth, to be stored.  `ids`: newest first; `whole`: they are the whole
    history; `link`: over which its build began."""

    author_id: int
    ids: tuple[int, ...]
    whole: bool
    link: Link


class Lists(Protocol):
    """Home lists `h:` and author lists `u:`, read and built by servers.  See docs/protocols/build.md."""

    async def read_home(self, user_id: int, start: int, count: int) -> HomeRead:
        """One trip: positions [start, start + count) of the list, its meta and the viewer's relations.
        Refreshes the list's life when older than a day."""
        ...

    async def read_relations(self, user_id: int) -> RelationsRead:
        """The viewer's relations alone, for paths without a list."""
        ...

    async def read_authors(self, author_ids: Sequence[int], depth: int) -> dict[int, AuthorRead]:
        """The newest `depth` positions of each; authors whose node cannot answer are absent."""
        ...

    async def begin_home(self, user_id: int, token: int) -> Link | None:
        """Puts the negative build `token` (life 60 s) in place of the list.  None: a live token of another builder
        is there, which is respected."""
        ...

    async def finish_home(
        self, user_id: int, token: int, ids: Sequence[int], whole: bool, version: int, link: Link, built_ms: int
    ) -> bool:
        """If the own token is still in place and `link` is unbroken: takes it out, appends those of `ids` (newest
        first) that were not pushed meanwhile behind what was, with the end mark if `whole`, and writes version and
        `built_ms`.  False: nothing stored."""
        ...

    async def read_heads(self, user_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """The first 16 positions of each home list as they stand, end mark (0) and build token (negative) included
        (empty: no list), one trip for each node: says that something arrived, proves nothing.  Users whose node cannot
        answer are absent."""
        ...

    async def read_history(self, user_id: int) -> HistoryRead | None: ...

    async def store_history(self, user_id: int, relations_seen: bytes, history: HistoryRead) -> bool:
        """Stores (10 min) if the user's relations are still exactly `relations_seen`, byte for byte."""
        ...

    async def begin_authors(self, author_ids: Sequence[int], token: int) -> dict[int, Link]:
        """As `begin_home` for author lists, one trip for each node: by author, where the token was put.  Absent: a live
        token of another builder is there, or its node cannot answer."""
        ...

    async def finish_authors(self, lists: Sequence[LoadedList], token: int) -> frozenset[int]:
        """As `finish_home` for author lists, one trip for each node: the authors whose list was stored.  One of no ids
        that is not whole is not stored, and takes the token away.  What its node did not answer is unknown, and not
        among them."""
        ...

    async def store_relations(self, user_id: int, over: RelationsRead, relations: Relations) -> bool:
        """Stores over exactly what was read before Cassandra was, and over that link; False if it changed meanwhile."""
        ...

    async def place_own(self, author_id: int, tweet_id: int) -> None:
        """Before the ack of a post: the id *placed* in the author's two lists.  Raises CacheUnavailable."""
        ...


# --- bodies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FillMark:
    """When a read of the truth began, and over which links its result may be filled in (valid for 5 s)."""

    started: float
    links: Mapping[str, Link]


class Bodies(Protocol):
    async def get_bodies(self, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        """Framed bodies, empty = deleted.  Missing or unreachable ones are absent from the answer."""
        ...

    def fill_mark(self) -> FillMark:
        """Taken *before* the truth is read."""
        ...

    async def fill_bodies(self, bodies: Mapping[int, bytes], mark: FillMark) -> None:
        """Set-if-absent with expiry, only over the links of the mark and only within 5 s of it; never raises."""
        ...


# --- profiles ---------------------------------------------------------------------------------------------------------


class Profiles(Protocol):
    """`p:`: what every path needs to know of an account.  The value's bytes are the service's business."""

    async def read_profiles(self, user_ids: Sequence[int]) -> dict[int, ProfileRead]:
        """One trip for each node; accounts whose node cannot answer are absent."""
        ...

    async def store_profiles(self, values: Mapping[int, tuple[ProfileRead, bytes]]) -> None:
        """User → (read before the truth was, value): each stored (1 h) only over exactly what was seen, and over that
        link.  Never raises."""
        ...


# --- removals ---------------------------------------------------------------------------------------------------------


class Removals(Protocol):
    """Overwrites, whatever is there.  True = every cached copy is overwritten and all known replicas confirmed
    within 200 ms; False = not proven (unreachable, time short): the outbox does the rest.  Never raise."""

    async def mark_deleted(self, tweet_id: int) -> bool: ...

    async def stub_relations(self, user_id: int, version: int, change: int | None = None) -> bool:
        """Sets the relations to a stub of version max(old + 1, `version`) and removes the home list, its meta and
        history, and with them the token of a build under way.  `change`: the event this is for, which its applier
        then need not do again."""
        ...

    async def stub_profile(self, user_id: int, version: int) -> bool:
        """Sets the profile to a stub that no loader has seen (`version` is new with every change)."""
        ...


# --- the worker's side ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivered:
    """Counts by outcome, and the nodes that did not ack everything: their part is not applied."""

    pushed: int = 0
    inserted: int = 0
    duplicate: int = 0
    inactive: int = 0
    behind: frozenset[str] = frozenset()


class Deliveries(Protocol):
    """What a worker does.  Every method works over exactly the links it is given; a node whose link is missing or
    not current any more is `behind` and gets nothing."""

    async def open_links(self) -> dict[str, Link]:
        """A current link to every node that can be reached.  A reconnect kills the previous connection by id first,
        so nothing sent earlier can run later."""
        ...

    def nodes(self) -> frozenset[str]:
        """All nodes of the topology, reachable or not."""
        ...

    async def deliver(
        self, tweet_id: int, follower_ids: Sequence[int], links: Mapping[str, Link], in_place: bool
    ) -> Delivered:
        """The id onto the existing home lists of these followers, all acked.  Plain push while the id is younger
        than 2 s and `in_place` is False; otherwise placed in order, doubles refused, misplaced copies moved.
        Lists reported longer than 864 are trimmed to 800."""
        ...

    async def place_author(self, author_id: int, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        """The id into the author's own two lists, placed, acked."""
        ...

    async def overwrite_deleted(self, tweet_id: int, links: Mapping[str, Link]) -> Delivered: ...

    async def overwrite_relations(
        self, user_id: int, version: int, links: Mapping[str, Link], change: int | None = None
    ) -> Delivered:
        """As `Removals.stub_relations`, unless a stub for exactly this `change` (the id of its event) was set on this
        node before: the value remembers the last 8 changes it was stubbed for, through loads too.  Re-applying must
        not drop a list that was built since.  The version proves nothing: two changes can have the same one, and an
        edge may commit after a later one.  `change` None: in any case."""
        ...

    async def overwrite_profile(self, user_id: int, version: int, links: Mapping[str, Link]) -> Delivered:
        """As `Removals.stub_profile`, over these links."""
        ...

    async def read_node_marks(self, link: Link) -> Marks:
        """Raises CacheUnavailable when the link is not current any more."""
        ...

    async def advance(self, link: Link, moves: Mapping[int, tuple[int | None, int]]) -> dict[int, bool]:
        """Outbox shard → (W expected, W new), compare-and-set behind everything sent over this link.  False: another
        value stood there.  Raises CacheUnavailable when the link broke: nothing is known then."""
        ...

    async def adopt_empty(self, link: Link, now_ms: int, stale_ms: int | None = None) -> bool:
        """For a node that is not `known`: ends every other link to it, flushes it and writes its own shard id with
        `flushed_ms` = now, once: False if another worker did.  For a known one too far behind, if `stale_ms` is still
        its `flushed_ms`: it ceases to be known, and then likewise.  Raises CacheUnavailable, also where another
        worker's adoption ended this link."""
        ...


class Bell(Protocol):
    """Latency, never safety: a lost ring costs one poll."""

    def ring(self, shard: int, event: bytes) -> None:
        """Fire and forget."""
        ...

    def listen(self, shards: frozenset[int]) -> AsyncIterator[tuple[int, bytes]]:
        """Rings of these shards as they come; ends when the connection does."""
        ...


class Cache(Watermarks, Lists, Bodies, Profiles, Removals, Deliveries, Bell, Protocol):
    """All of it: what an adapter provides."""

    async def close(self) -> None: ...
