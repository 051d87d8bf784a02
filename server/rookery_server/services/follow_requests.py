"""Asking to follow a protected account, and the answers.  Rules E13 and E18 to E20 of docs/protocols/edge.md.

A request is a row without an event: no list and no copy depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rookery_server.domain import ids
from rookery_server.domain.errors import NotFound
from rookery_server.domain.limits import LIST_PAGE_DEFAULT, LIST_PAGE_MAX
from rookery_server.domain.models import FollowRequest, standing_block
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.batches import checked_page_size
from rookery_server.services.calls import Call
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.quotas import Quota, Quotas
from rookery_server.services.tokens import edge_token
from rookery_server.services.writes import unknown_from_here
from rookery_server.store.interface import Store


@dataclass(frozen=True, slots=True)
class FollowRequestsList:
    """Ascending by requester id."""

    requests: tuple[FollowRequest, ...]
    next_cursor: PageCursor | None


class FollowRequests:
    def __init__(self, store: Store, new_id: Callable[[], int], edges: Edges, quotas: Quotas):
        self._store, self._new_id, self._edges, self._quotas = store, new_id, edges, quotas

    async def ask(self, call: Call, target_id: int) -> EdgeChanged:
        """The caller asks.  Raises RateLimited, NotFound (a block stands by now), IdsRefused, StoreUnavailable."""
        old = await self._store.follow_request(target_id, call.caller_id)
        asked = EdgeChanged(True, edge_token(call.caller_id, target_id, self._edges.after_all_ms()), requested=True)
        if old is not None and old.on:
            return asked
        await self._quotas.charge(call, Quota.FOLLOWS)
        version = ids.later_timestamp_us(self._new_id(), old.version_us if old else 0)
        await self._store.write_follow_request(FollowRequest(target_id, call.caller_id, True, version))
        with unknown_from_here():
            blocked = await self._edges.block_between(call.caller_id, target_id) is not None
            if blocked:
                await self.end(target_id, call.caller_id)
        if blocked:
            raise NotFound("no such user")
        return asked

    async def end(self, target_id: int, requester_id: int) -> int:
        """Takes back, or denies; the version that says so, 0 if there was no open request."""
        request = await self._store.follow_request(target_id, requester_id)
        if request is None or not request.on:
            return 0
        # Never at the version right above the request's own: that one says "approved" (E19).
        version = ids.later_timestamp_us(self._new_id(), request.version_us + 1)
        await self._store.write_follow_request(replace(request, on=False, version_us=version))
        return version

    async def grant(self, target_id: int, requester_id: int) -> int:
        """Ends an open request, if there is one, since its requester follows: as approved (E18).  Returns the version
        at which one was ended lately, else 0: who denied it may have yet to write that there is no edge (E20)."""
        request = await self._store.follow_request(target_id, requester_id)
        if request is None:
            return 0
        if request.on:
            await self._end_as_approved(request)
            return 0
        return 0 if self._edges.certain(request) else request.version_us

    async def approve(self, call: Call, requester_id: int) -> EdgeChanged:
        """Raises NotFound (no open request), FollowLimitReached (the requester's), StoreUnavailable."""
        request = await self._store.follow_request(call.caller_id, requester_id)
        edge = await self._store.edge(requester_id, call.caller_id)
        follows = edge is not None and edge.on
        blocks = await self._edges.blocks_between(requester_id, call.caller_id)
        if standing_block(blocks) is not None or not (follows or (request is not None and request.on)):
            raise NotFound("no open request")
        if edge is not None and follows:
            changed = await self._edges.again(call, edge, blocks)
        else:
            await self._edges.check_cap(requester_id)
            changed = await self._edges.add(call, requester_id, call.caller_id, edge, blocks)
        if request is not None and request.on:
            with unknown_from_here():
                stands = await self._answered(request)
                if not stands:
                    await self._undo(call, requester_id)
            if not stands:
                raise NotFound("no open request")
        return changed

    async def _answered(self, request: FollowRequest) -> bool:
        """Ends the request as approved; False if it was withdrawn or denied meanwhile."""
        now = await self._store.follow_request(request.target_id, request.requester_id)
        if now is None:
            return False
        if now.on:
            await self._end_as_approved(now)
            return True
        return now.version_us == request.version_us + 1  # by another approval of the same request, or by a follow

    async def _end_as_approved(self, request: FollowRequest) -> None:
        await self._store.write_follow_request(replace(request, on=False, version_us=request.version_us + 1))

    async def _undo(self, call: Call, requester_id: int) -> None:
        edge = await self._store.edge(requester_id, call.caller_id)
        if edge is not None and edge.on:
            await self._edges.remove(call, edge)

    async def list(self, call: Call, page_size: int, cursor: PageCursor | None) -> FollowRequestsList:
        """Open requests to the caller; a short page may have a cursor.  Cursor: `last_id` = the last requester."""
        size = checked_page_size(page_size, LIST_PAGE_DEFAULT, LIST_PAGE_MAX)
        page = await self._store.follow_requests(call.caller_id, cursor.last_id if cursor else None, size)
        following = None if page.next_after is None else PageCursor(page.next_after)
        return FollowRequestsList(page.requests, following)
