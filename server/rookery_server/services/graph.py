"""Who follows, blocks and mutes whom.  The rules are numbered in docs/protocols/edge.md.  All reads of rows are
the truth at a quorum and need no consistency token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rookery_server.cache.interface import Cache
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import InvalidArgument, NotFound, Violation
from rookery_server.domain.limits import LIST_PAGE_DEFAULT, LIST_PAGE_MAX
from rookery_server.domain.models import Block, Edge, standing_block
from rookery_server.domain.tokens import ConsistencyToken, PageCursor
from rookery_server.services.batches import checked_batch, checked_id, checked_page_size
from rookery_server.services.blocks import Blocks, BlocksPage
from rookery_server.services.calls import Call
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.follow_requests import FollowRequests, FollowRequestsList
from rookery_server.services.mutes import Mutes, MutesPage
from rookery_server.services.newest_first import newest_first
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.relationships import Relationship, relationships
from rookery_server.services.sight import Sight
from rookery_server.services.tokens import edge_token
from rookery_server.services.users import KnownUsers
from rookery_server.services.witness import SILENT, Witness
from rookery_server.services.writes import StartedWrites, unknown_from_here
from rookery_server.store.interface import Store

__all__ = [
    "BlocksPage",
    "EdgeChanged",
    "FollowRequestsList",
    "FollowersList",
    "FollowingPage",
    "Graph",
    "MutesPage",
    "Relationship",
]


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


class Graph:
    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        new_id: Callable[[], int],
        users: KnownUsers,
        sight: Sight,
        quotas: Quotas,
        writes: StartedWrites,
        witness: Witness = SILENT,
    ):
        self._store, self._cache, self._clock = store, cache, clock
        self._users, self._quotas, self._writes = users, quotas, writes
        self._sight, self._accounts = sight, sight.accounts
        self._edges = Edges(store, cache, clock, new_id, writes, witness)
        self._requests = FollowRequests(store, new_id, self._edges, quotas)
        self._blocks = Blocks(store, cache, new_id, self._edges, self._requests, quotas, writes, witness)
        self._mutes = Mutes(store, cache, clock, new_id, self._edges, quotas, writes, witness)

    # --- changes ----------------------------------------------------------------------------------------------
    # All raise AccountInactive for a caller whose account is not active.

    async def follow(self, call: Call, followee_id: int) -> EdgeChanged:
        """A protected account is asked instead.  Raises InvalidArgument (oneself), NotFound (also for a block either
        way), FollowLimitReached, RateLimited, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, followee_id)
        standing = (await self._accounts.require_visible(call, followee_id))[followee_id]
        return await self._writes.run(self._follow(call, followee_id, standing.protected))

    async def unfollow(self, call: Call, followee_id: int) -> EdgeChanged:
        """Ends the edge, or the request.  OK also when there was nothing to end.  Raises InvalidArgument, NotFound,
        IdsRefused, StoreUnavailable."""
        await self._check_pair(call, followee_id)
        return await self._writes.run(self._unfollow(call, followee_id))

    async def block(self, call: Call, user_id: int) -> EdgeChanged:
        """Ends edges and requests both ways; again is OK.  Raises InvalidArgument (oneself), NotFound, RateLimited,
        IdsRefused, StoreUnavailable."""
        await self._check_pair(call, user_id)
        return await self._writes.run(self._blocks.block(call, user_id))

    async def unblock(self, call: Call, user_id: int) -> EdgeChanged:
        """OK also when there was nothing to lift.  Raises InvalidArgument, NotFound, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, user_id)
        return await self._writes.run(self._blocks.unblock(call, user_id))

    async def mute(self, call: Call, user_id: int, until_ms: int = 0) -> EdgeChanged:
        """Until that time (Unix ms), 0 = for ever; again replaces the time.  Raises InvalidArgument (oneself, a time
        that is not ahead), NotFound, RateLimited, IdsRefused, StoreUnavailable."""
        self._mutes.check_time(until_ms)
        await self._check_pair(call, user_id)
        return await self._writes.run(self._mutes.mute(call, user_id, until_ms))

    async def unmute(self, call: Call, user_id: int) -> EdgeChanged:
        """OK also when there was nothing to lift.  Raises InvalidArgument, NotFound, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, user_id)
        return await self._writes.run(self._mutes.unmute(call, user_id))

    async def approve(self, call: Call, requester_id: int) -> EdgeChanged:
        """Makes the requester a follower of the caller; OK for one who is.  Raises InvalidArgument, NotFound (no such
        account, no open request), FollowLimitReached (the requester's), IdsRefused, StoreUnavailable."""
        await self._check_pair(call, requester_id)
        await self._accounts.require_visible(call, requester_id)
        return await self._writes.run(self._requests.approve(call, requester_id))

    async def deny(self, call: Call, requester_id: int) -> EdgeChanged:
        """OK also without an open request.  Raises InvalidArgument, NotFound, IdsRefused, StoreUnavailable."""
        await self._check_pair(call, requester_id)
        return await self._writes.run(self._deny(call, requester_id))

    async def _check_pair(self, call: Call, other_id: int) -> None:
        if checked_id(other_id, "user_id") == call.caller_id:
            raise InvalidArgument(Violation("user_id", "oneself", "must be somebody else"))
        await self._accounts.require_active(call)
        await self._users.require(other_id)

    async def _follow(self, call: Call, followee_id: int, protected: bool) -> EdgeChanged:
        blocks, edge = await asyncio.gather(
            self._edges.blocks_between(call.caller_id, followee_id), self._store.edge(call.caller_id, followee_id)
        )
        if standing_block(blocks) is not None:
            raise NotFound("no such user")
        if edge is not None and edge.on:
            if not self._edges.done(edge, blocks):
                await self._quotas.charge(call, Quota.FOLLOWS)
            changed = await self._edges.again(call, edge, blocks)
        elif protected:
            return await self._requests.ask(call, followee_id)
        else:
            changed = await self._follow_anew(call, followee_id, edge, blocks)
        with unknown_from_here():
            # Of the time when the account was protected (E18).
            ended_us = await self._requests.grant(followee_id, call.caller_id)
            if ended_us and not protected:
                return await self._edges.insist(call, call.caller_id, followee_id, ended_us)
        return changed

    async def _follow_anew(
        self, call: Call, followee_id: int, old: Edge | None, blocks: Sequence[Block]
    ) -> EdgeChanged:
        await self._edges.check_cap(call.caller_id)
        await self._quotas.charge(call, Quota.FOLLOWS)
        return await self._edges.add(call, call.caller_id, followee_id, old, blocks)

    async def _deny(self, call: Call, requester_id: int) -> EdgeChanged:
        done = EdgeChanged(True, edge_token(requester_id, call.caller_id, self._edges.after_all_ms()))
        ended_us = await self._requests.end(call.caller_id, requester_id)
        if not ended_us:
            return done
        with unknown_from_here():
            edge = await self._store.edge(requester_id, call.caller_id)
            if edge is not None and edge.on:
                return done  # an approval came first, or sees that it came too late
            return await self._edges.keep_off(call, requester_id, call.caller_id, edge, ended_us)

    async def _unfollow(self, call: Call, followee_id: int) -> EdgeChanged:
        ended_us = await self._requests.end(followee_id, call.caller_id)
        if not ended_us:
            return await self._end_edge(call, followee_id)
        with unknown_from_here():
            edge = await self._store.edge(call.caller_id, followee_id)
            if edge is not None and edge.on:
                return await self._edges.remove(call, edge)
            return await self._edges.keep_off(call, call.caller_id, followee_id, edge, ended_us)

    async def _end_edge(self, call: Call, followee_id: int) -> EdgeChanged:
        edge = await self._store.edge(call.caller_id, followee_id)
        if edge is not None and edge.on:
            return await self._edges.remove(call, edge)
        # Nothing to write, but an earlier attempt may have died between its batch and its stub (E5).
        settled = edge is None or await self._cache.stub_relations(call.caller_id, edge.version_us)
        return EdgeChanged(settled, edge_token(call.caller_id, followee_id, self._edges.after_all_ms()))

    # --- reads ------------------------------------------------------------------------------------------------

    # Lists of an account are as hidden as its tweets (R19); a token matters for that alone.

    async def list_following(
        self,
        call: Call,
        user_id: int,
        page_size: int,
        cursor: PageCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> FollowingPage:
        """Newest edge first.  Cursor: `last_id` = the last followee, `floor_id` = its edge's version.
        Raises InvalidArgument, NotFound (also for an account that is hidden from the caller)."""
        await self._users.require(checked_id(user_id, "user_id"))
        await self._sight.onto_profile(call, user_id, token)
        edges = [edge for edge in await self._store.following(user_id) if edge.on]
        return FollowingPage(*newest_first(edges, lambda edge: edge.followee_id, page_size, cursor))

    async def list_followers(
        self,
        call: Call,
        user_id: int,
        page_size: int,
        cursor: PageCursor | None = None,
        token: ConsistencyToken | None = None,
    ) -> FollowersList:
        """Ascending by id; a short page may have a cursor.  Cursor: `last_id` = the last follower.
        Raises as `list_following`."""
        size = checked_page_size(page_size, LIST_PAGE_DEFAULT, LIST_PAGE_MAX)
        await self._users.require(checked_id(user_id, "user_id"))
        await self._sight.onto_profile(call, user_id, token)
        page = await self._store.followers(user_id, cursor.last_id if cursor else None, size)
        following = None if page.next_after is None else PageCursor(page.next_after)
        return FollowersList(page.follower_ids, following)

    async def list_blocks(self, call: Call, page_size: int, cursor: PageCursor | None = None) -> BlocksPage:
        """Whom the caller blocks, newest first.  Cursor as of `list_following`.  Raises InvalidArgument."""
        return await self._blocks.list(call, page_size, cursor)

    async def list_mutes(self, call: Call, page_size: int, cursor: PageCursor | None = None) -> MutesPage:
        """Whom the caller mutes now, newest first.  Cursor as of `list_following`.  Raises InvalidArgument."""
        return await self._mutes.list(call, page_size, cursor)

    async def list_follow_requests(
        self, call: Call, page_size: int, cursor: PageCursor | None = None
    ) -> FollowRequestsList:
        """Who asks to follow the caller, ascending by id.  Cursor: `last_id` = the last requester.
        Raises InvalidArgument."""
        return await self._requests.list(call, page_size, cursor)

    async def relationship(self, call: Call, user_id: int) -> Relationship:
        """Raises InvalidArgument, NotFound (also for an account that is not active: a block shows in the answer)."""
        await self._accounts.require_visible(call, checked_id(user_id, "user_id"))
        return (await self.relationships(call, [user_id]))[user_id]

    async def relationships(self, call: Call, user_ids: Sequence[int]) -> dict[int, Relationship]:
        """1 to 100 ids, in the order of the request, duplicates once; with an unknown account nothing is true."""
        return await relationships(self._store, self._clock, call, checked_batch(user_ids, "user_ids"))
