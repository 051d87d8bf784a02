"""Calls about pages, and the live home."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from rookery.calls import Calls, pages
from rookery.streaming import LiveHome
from rookery.transport import LIST_S
from rookery.v1 import (
    timelines_pb2,
    timelines_pb2_grpc,
    tweets_pb2,
)


class TimelineCalls(Calls):
    async def home_page(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        newer_token: str = "",
        consistency_token: str = "",
        include_users: bool = False,
        only_known_replies: bool = False,
        timeout_s: float = LIST_S,
    ) -> timelines_pb2.GetHomeTimelineResponse:
        """One page of the acting user's home; what it claims is in `info`."""
        request = timelines_pb2.GetHomeTimelineRequest(
            page_size=page_size,
            consistency_token=consistency_token,
            include_users=include_users,
            only_known_replies=only_known_replies,
        )
        if page_token:
            request.page_token = page_token
        if newer_token:
            request.newer_token = newer_token
        reply = timelines_pb2.GetHomeTimelineResponse
        return await self._call(timelines_pb2_grpc.TimelineServiceStub, "GetHomeTimeline", request, reply, timeout_s)

    async def home_timeline(
        self, *, page_size: int = 0, only_known_replies: bool = False
    ) -> AsyncIterator[tweets_pb2.Tweet]:
        """The acting user's home, newest first, down to the end of history."""

        async def read(token: str) -> timelines_pb2.GetHomeTimelineResponse:
            return await self.home_page(page_size=page_size, page_token=token, only_known_replies=only_known_replies)

        async for page in pages(read):
            for tweet in page.tweets:
                yield tweet

    async def user_page(
        self,
        user_id: int,
        *,
        page_size: int = 0,
        page_token: str = "",
        exclude_replies: bool = False,
        include_users: bool = False,
        consistency_token: str = "",
        timeout_s: float = LIST_S,
    ) -> timelines_pb2.GetUserTimelineResponse:
        request = timelines_pb2.GetUserTimelineRequest(
            user_id=user_id,
            page_size=page_size,
            page_token=page_token,
            exclude_replies=exclude_replies,
            include_users=include_users,
            consistency_token=consistency_token,
        )
        reply = timelines_pb2.GetUserTimelineResponse
        return await self._call(timelines_pb2_grpc.TimelineServiceStub, "GetUserTimeline", request, reply, timeout_s)

    async def user_timeline(
        self, user_id: int, *, page_size: int = 0, exclude_replies: bool = False
    ) -> AsyncIterator[tweets_pb2.Tweet]:
        """An author's tweets, newest first, to the first one."""

        async def read(token: str) -> timelines_pb2.GetUserTimelineResponse:
            return await self.user_page(user_id, page_size=page_size, page_token=token, exclude_replies=exclude_replies)

        async for page in pages(read):
            for tweet in page.tweets:
                yield tweet

    async def stream_home(
        self,
        *,
        resume_token: str = "",
        newer_token: str = "",
        only_known_replies: bool = False,
        include_users: bool = False,
        give_up_s: float | None = None,
    ) -> AsyncGenerator[timelines_pb2.StreamHomeTimelineResponse, None]:
        """The acting user's home as it arrives, without end: messages with their tweets newest last; one without tweets
        is a heartbeat.  A stream that ends is opened again where it was, with back-off; what it repeats is dropped.

        ``resume_token``: of the last message dealt with; ``newer_token``: of a home page; neither: from now on.
        ``give_up_s``: how long nothing may work before the error comes out; None = never.  Raises what no repetition
        can heal."""

        def opened(token: str) -> AsyncGenerator[timelines_pb2.StreamHomeTimelineResponse, None]:
            request = timelines_pb2.StreamHomeTimelineRequest(
                include_users=include_users, only_known_replies=only_known_replies
            )
            if token:
                request.resume_token = token
            elif newer_token:
                request.newer_token = newer_token
            reply = timelines_pb2.StreamHomeTimelineResponse
            return self._stream(timelines_pb2_grpc.TimelineServiceStub, "StreamHomeTimeline", request, reply)

        async with aclosing(LiveHome(opened, resume_token, give_up_s=give_up_s).messages()) as messages:
            async for message in messages:
                yield message
