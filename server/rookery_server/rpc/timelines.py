"""TimelineService.  A page's tweets arrive framed as field 1 of the reply: joined with the other fields' bytes they are
the reply, since protobuf takes fields in any order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from rookery.v1 import timelines_pb2 as pb
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.rpc import convert
from rookery_server.rpc.paging import Scope, Tokens
from rookery_server.rpc.users import shown_users
from rookery_server.services.calls import Call
from rookery_server.services.home import HomeTimelines
from rookery_server.services.live import LiveTimelines
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import Users


class TimelineServicer:
    def __init__(
        self, user_timelines: UserTimelines, home: HomeTimelines, live: LiveTimelines, users: Users, tokens: Tokens
    ):
        self._user_timelines, self._home, self._live = user_timelines, home, live
        self._users, self._tokens = users, tokens

    async def GetUserTimeline(self, request: pb.GetUserTimelineRequest, call: Call) -> bytes:
        token = self._tokens.consistency(request.consistency_token)
        scope = Scope("GetUserTimeline", request.user_id, "no replies" if request.exclude_replies else "")
        cursor = self._tokens.page_cursor(request.page_token, scope)
        page = await self._user_timelines.page(
            call, request.user_id, request.page_size, cursor, request.exclude_replies, token
        )
        rest = pb.GetUserTimelineResponse(
            users=await shown_users(self._users, call, page.author_ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
            info=convert.page_info(page.info),
        )
        return b"".join((*page.bodies, rest.SerializeToString()))

    async def GetHomeTimeline(self, request: pb.GetHomeTimelineRequest, call: Call) -> bytes:
        scope = _home_scope(call, request.only_known_replies)
        position: PageCursor | NewerCursor | None = self._tokens.page_cursor(request.page_token, scope)
        if position is None:
            position = self._tokens.newer_cursor(request.newer_token, scope)
        token = self._tokens.consistency(request.consistency_token)
        page = await self._home.page(call, request.page_size, position, token, request.only_known_replies)
        rest = pb.GetHomeTimelineResponse(
            users=await shown_users(self._users, call, page.author_ids) if request.include_users else [],
            next_page_token=self._tokens.sign(page.next_cursor, scope),
            newer_token=self._tokens.sign(page.newer_cursor, scope),
            info=convert.page_info(page.info),
        )
        return b"".join((*page.bodies, rest.SerializeToString()))

    async def StreamHomeTimeline(
        self, request: pb.StreamHomeTimelineRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        known = request.only_known_replies
        scope = Scope("StreamHomeTimeline", call.caller_id, _choice(known))
        position: LiveCursor | NewerCursor | None = self._tokens.live_cursor(request.resume_token, scope)
        if position is None:
            position = self._tokens.newer_cursor(request.newer_token, _home_scope(call, known))
        async with aclosing(self._live.stream(call, position, known)) as messages:
            async for message in messages:
                rest = pb.StreamHomeTimelineResponse(
                    users=await shown_users(self._users, call, message.author_ids) if request.include_users else [],
                    resume_token=self._tokens.sign(message.cursor, scope),
                    info=convert.page_info(message.info),
                )
                yield b"".join((*message.bodies, rest.SerializeToString()))


def _home_scope(call: Call, only_known_replies: bool) -> Scope:
    return Scope("GetHomeTimeline", call.caller_id, _choice(only_known_replies))


def _choice(only_known_replies: bool) -> str:
    return "known replies" if only_known_replies else ""
