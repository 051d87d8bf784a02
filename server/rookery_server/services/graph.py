"""Who follows whom.  The rules are numbered in docs/protocols/edge.md.  All reads are the truth at a quorum and need
no consistency token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain import events, ids
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import FollowLimitReached, InvalidArgument, Violation
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.limits import (
    EDGE_CERTAIN_AFTER_S,
    FOLLOWER_PAGE,
    FOLLOWING_BASE,
    FOLLOWING_MAX,
    FOLLOWING_PER_FOLLOWER,
    INNER_READS,
    LIST_PAGE_DEFAULT,
    LIST_PAGE_MAX,
)
from rookery_server.domain.models import Edge
from rookery_server.domain.tokens import ConsistencyToken, PageCursor
from rookery_server.services.batches import checked_batch, checked_id, checked_page_size
from rookery_server.services.bounded import each
from rookery_server.services.calls import Call
from rookery_server.services.following_counts import FollowingCounts
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.tokens import edge_token
from rookery_server.services.users import KnownUsers
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import GraphStore, Store


@dataclass(frozen=True, slots=True)
class EdgeChanged:
    """`settled`: the follower's cached relations and home list are proven to be overwritten."""

    settled: bool
    token: ConsistencyToken


@dataclass(frozen=True, slots=True)
class FollowingPage:
    """Newest edge first."""

    edges: tuple[Edge, ...]
    next_cursor: PageCursor | None


@dataclass(frozen=True, slots=True)
class FollowersList:
    """Ascending by follower id."""

    follower_ids: tuple[int, ...]
    next_cursor: PageCursor | None


@dataclass(frozen=True, slots=True)
class Relationship:
    """What the caller and `user_id` are to each other.  Blocks and mutes come with a later release."""

    user_id: int
    following: bool
    followed_by: bool


class Graph:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        users: KnownUsers,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock, self._new_id = store, cache, clock, new_id
        self._users, self._quotas, self._writes, self._witness = users, quotas, writes, witness
        self._counts = FollowingCounts(store, clock)

    # --- changes ----------------------------------------------------------------------------------------------

    async def follow(self, call: Call, followee_id: int) -> EdgeChanged:
        """Raises InvalidArgument (oneself), NotFound, FollowLimitReached, RateLimited, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, followee_id)
        return await self._writes.run(self._follow(call, followee_id))

    async def unfollow(self, call: Call, followee_id: int) -> EdgeChanged:
        """OK also when there was nothing to remove.  Raises InvalidArgument, NotFound, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, followee_id)
        return await self._writes.run(self._unfollow(call, followee_id))

    async def _check_pair(self, call: Call, other_id: int) -> None:
        if checked_id(other_id, "user_id") == call.caller_id:
            raise InvalidArgument(Violation("user_id", "oneself", "must be somebody else"))
        await self._users.require(call.caller_id, other_id)

    async def _follow(self, call: Call, followee_id: int) -> EdgeChanged:
        edge = await self._store.edge(call.caller_id, followee_id)
        if edge is not None and edge.on:
            return await self._follow_again(call, edge)
        await check_may_follow(self._store, call.caller_id, await self._counts.of(call.caller_id))
        await self._quotas.charge(call, Quota.FOLLOWS)
        return await self._change(call, followee_id, edge, on=True)

    async def _follow_again(self, call: Call, edge: Edge) -> EdgeChanged:
        """The edge may be there and the rest of its batch late: its event behind what pages claim, its stub never set.
        So while it is young the same edge is written again, with an event of now (E5)."""
        if self._clock.now_ms() - edge.version_us // 1000 > EDGE_CERTAIN_AFTER_S * 1000:
            return EdgeChanged(True, edge_token(edge.follower_id, edge.followee_id, self._clock.now_ms()))
        await self._quotas.charge(call, Quota.FOLLOWS)
        return await self._write(call, edge)

    async def _unfollow(self, call: Call, followee_id: int) -> EdgeChanged:
        edge = await self._store.edge(call.caller_id, followee_id)
        if edge is not None and edge.on:
            return await self._change(call, followee_id, edge, on=False)
        # Nothing to write, but an earlier attempt may have died between its batch and its stub (E5).
        settled = edge is None or await self._cache.stub_relations(call.caller_id, edge.version_us)
        return EdgeChanged(settled, edge_token(call.caller_id, followee_id, self._clock.now_ms()))

    async def _change(self, call: Call, followee_id: int, old: Edge | None, on: bool) -> EdgeChanged:
        follower_id = call.caller_id
        version = ids.later_timestamp_us(self._new_id(), old.version_us if old else 0)
        changed = await self._write(call, Edge(follower_id, followee_id, on, version))
        self._counts.changed(follower_id, 1 if on else -1)
        return changed

    async def _write(self, call: Call, edge: Edge) -> EdgeChanged:
        follower_id, followee_id = edge.follower_id, edge.followee_id
        kind = EventKind.FOLLOW if edge.on else EventKind.UNFOLLOW
        draft = Event(0, kind, follower_id, followee_id, edge.version_us)
        event = await self._writes.attempt(call, draft, lambda event: self._store.write_edge(edge, event))
        # Place for blocks: Follow reads both block rows again here, before its ack.
        settled = await self._cache.stub_relations(follower_id, edge.version_us)
        if not edge.on:
            self._witness.removal("unfollow", settled)
        self._cache.ring(events.shard_of(follower_id, self._store.shards), events.encode(event))
        return EdgeChanged(settled, edge_token(follower_id, followee_id, ids.time_ms(event.id)))

    # --- reads ------------------------------------------------------------------------------------------------

    async def list_following(self, user_id: int, page_size: int, cursor: PageCursor | None = None) -> FollowingPage:
        """Newest edge first.  Cursor: `last_id` = the last followee, `floor_id` = its edge's version.
        Raises InvalidArgument, NotFound."""
        size = checked_page_size(page_size, LIST_PAGE_DEFAULT, LIST_PAGE_MAX)
        await self._users.require(checked_id(user_id, "user_id"))
        edges = [edge for edge in await self._store.following(user_id) if edge.on]
        edges.sort(key=_newest_first)
        if cursor is not None:
            last = (-cursor.floor_id, -cursor.last_id)
            edges = [edge for edge in edges if _newest_first(edge) > last]
        page = tuple(edges[:size])
        more = len(edges) > size
        return FollowingPage(page, PageCursor(page[-1].followee_id, page[-1].version_us) if more else None)

    async def list_followers(self, user_id: int, page_size: int, cursor: PageCursor | None = None) -> FollowersList:
        """Ascending by id; a short page may have a cursor.  Cursor: `last_id` = the last follower.
        Raises InvalidArgument, NotFound."""
        size = checked_page_size(page_size, LIST_PAGE_DEFAULT, LIST_PAGE_MAX)
        await self._users.require(checked_id(user_id, "user_id"))
        page = await self._store.followers(user_id, cursor.last_id if cursor else None, size)
        following = None if page.next_after is None else PageCursor(page.next_after)
        return FollowersList(page.follower_ids, following)

    async def relationship(self, call: Call, user_id: int) -> Relationship:
        """Raises InvalidArgument, NotFound."""
        await self._users.require(checked_id(user_id, "user_id"))
        return (await self.relationships(call, [user_id]))[user_id]

    async def relationships(self, call: Call, user_ids: Sequence[int]) -> dict[int, Relationship]:
        """1 to 100 ids, in the order of the request, duplicates once; with an unknown account nothing is true."""
        wanted = checked_batch(user_ids, "user_ids")
        outgoing = await self._store.edges(call.caller_id, wanted)
        incoming: dict[int, Edge] = {}

        async def look_back(user_id: int) -> None:
            # The truth of an edge is in its follower's partition, so this is one read for each of the others.
            edge = await self._store.edge(user_id, call.caller_id)
            if edge is not None:
                incoming[user_id] = edge

        await each(wanted, INNER_READS, look_back)
        return {id_: Relationship(id_, _on(outgoing, id_), _on(incoming, id_)) for id_ in wanted}


async def check_may_follow(store: GraphStore, follower_id: int, following: int) -> None:
    """Raises FollowLimitReached when one more than `following` is too many.  Followers are counted only above the
    base, and only as far as the answer needs."""
    if following < FOLLOWING_BASE:
        return
    if following >= FOLLOWING_MAX or not await _has_followers(
        store, follower_id, at_least=(following + 1) / FOLLOWING_PER_FOLLOWER
    ):
        raise FollowLimitReached("follows as many accounts as it may")


async def _has_followers(store: GraphStore, user_id: int, at_least: float) -> bool:
    seen, after = 0, None
    while seen < at_least:
        page = await store.followers(user_id, after, FOLLOWER_PAGE)
        seen += len(page.follower_ids)
        after = page.next_after
        if after is None:
            break
    return seen >= at_least


def _newest_first(edge: Edge) -> tuple[int, int]:
    return (-edge.version_us, -edge.followee_id)


def _on(edges: dict[int, Edge], user_id: int) -> bool:
    return user_id in edges and edges[user_id].on
