"""The asynchronous client."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from rookery.credentials import Credentials
from rookery.transport import LIST_S, READ_S, WRITE_S, Transport
from rookery.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    graph_pb2,
    graph_pb2_grpc,
    timelines_pb2,
    timelines_pb2_grpc,
    tweets_pb2,
    tweets_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

Reply = TypeVar("Reply", bound=Message)


class _Paged(Protocol):
    @property
    def next_page_token(self) -> str: ...


Page = TypeVar("Page", bound=_Paged)


async def _pages(read: Callable[[str], Awaitable[Page]]) -> AsyncIterator[Page]:
    """A short or empty page is not the end: only an empty `next_page_token` is."""
    token = ""
    while True:
        page = await read(token)
        yield page
        token = page.next_page_token
        if not token:
            return


class Client:
    """Typed calls to a Rookery installation.

    ``target`` is `host:port` or any gRPC target; all hosts behind a name are used in turn.  Every call has a deadline;
    UNAVAILABLE is retried within a budget, with the same request id.  Failures raise `rookery.errors`.  ``connections``
    raises the number of concurrent calls (8 a connection).  Use as ``async with Client(...) as client``.
    """

    def __init__(
        self,
        target: str,
        credentials: Credentials | None = None,
        *,
        tls: grpc.ChannelCredentials | None = None,
        connections: int = 1,
    ):
        self._credentials = credentials or Credentials()
        self._transport = Transport(target, tls, connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    def acting_as(self, user_id: int) -> Client:
        """The same connections on behalf of another user; closing either closes both."""
        other = object.__new__(type(self))
        other._credentials = self._credentials.act_as(user_id)
        other._transport = self._transport
        return other

    async def _call(
        self, stub: type[Any], method: str, request: Message, reply: type[Reply], timeout_s: float
    ) -> Reply:
        return await self._transport.call(stub, method, request, reply, self._credentials, timeout_s)

    # --- users ------------------------------------------------------------------------------------------------------

    async def create_user(
        self,
        username: str,
        *,
        display_name: str = "",
        bio: str = "",
        location: str = "",
        url: str = "",
        request_id: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> users_pb2.CreateUserResponse:
        request = users_pb2.CreateUserRequest(
            username=username,
            profile=users_pb2.Profile(display_name=display_name, bio=bio, location=location, url=url),
            request_id=request_id or str(uuid.uuid4()),
        )
        reply = users_pb2.CreateUserResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "CreateUser", request, reply, timeout_s)

    async def get_user(
        self, user: int | str, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> users_pb2.User:
        """By id, or by name (with or without @)."""
        request = users_pb2.GetUserRequest(consistency_token=consistency_token)
        if isinstance(user, int):
            request.id = user
        else:
            request.username = user.removeprefix("@")
        reply = users_pb2.GetUserResponse
        return (await self._call(users_pb2_grpc.UserServiceStub, "GetUser", request, reply, timeout_s)).user

    async def batch_get_users(
        self, ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, users_pb2.User | None]:
        """At most 100; None for one that does not exist (or is hidden)."""
        request = users_pb2.BatchGetUsersRequest(ids=ids, consistency_token=consistency_token)
        reply = users_pb2.BatchGetUsersResponse
        answer = await self._call(users_pb2_grpc.UserServiceStub, "BatchGetUsers", request, reply, timeout_s)
        return {result.id: result.user if result.HasField("user") else None for result in answer.results}

    async def update_profile(
        self,
        etag: str,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        location: str | None = None,
        url: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> users_pb2.UpdateProfileResponse:
        """Replaces the fields that are given, if `etag` is current."""
        given = {"display_name": display_name, "bio": bio, "location": location, "url": url}
        fields = {name: value for name, value in given.items() if value is not None}
        if not fields:
            raise ValueError("no field was given: an empty mask would replace all of them")
        request = users_pb2.UpdateProfileRequest(
            profile=users_pb2.Profile(**fields), update_mask=FieldMask(paths=list(fields)), etag=etag
        )
        reply = users_pb2.UpdateProfileResponse
        return await self._call(users_pb2_grpc.UserServiceStub, "UpdateProfile", request, reply, timeout_s)

    # --- tweets -----------------------------------------------------------------------------------------------------

    async def create_tweet(
        self,
        text: str,
        *,
        in_reply_to_id: int = 0,
        quoted_id: int = 0,
        media: Iterable[str] = (),
        request_id: str | None = None,
        timeout_s: float = WRITE_S,
    ) -> tweets_pb2.CreateTweetResponse:
        request = tweets_pb2.CreateTweetRequest(
            text=text,
            in_reply_to_id=in_reply_to_id,
            quoted_id=quoted_id,
            media=[tweets_pb2.Media(reference=reference) for reference in media],
            request_id=request_id or str(uuid.uuid4()),
        )
        reply = tweets_pb2.CreateTweetResponse
        return await self._call(tweets_pb2_grpc.TweetServiceStub, "CreateTweet", request, reply, timeout_s)

    async def delete_tweet(self, tweet_id: int, *, timeout_s: float = WRITE_S) -> tweets_pb2.DeleteTweetResponse:
        request, reply = tweets_pb2.DeleteTweetRequest(id=tweet_id), tweets_pb2.DeleteTweetResponse
        return await self._call(tweets_pb2_grpc.TweetServiceStub, "DeleteTweet", request, reply, timeout_s)

    async def get_tweet(
        self, tweet_id: int, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> tweets_pb2.Tweet:
        request = tweets_pb2.GetTweetRequest(id=tweet_id, consistency_token=consistency_token)
        reply = tweets_pb2.GetTweetResponse
        return (await self._call(tweets_pb2_grpc.TweetServiceStub, "GetTweet", request, reply, timeout_s)).tweet

    async def batch_get_tweets(
        self, ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, tweets_pb2.Tweet | None]:
        """At most 100; None for one that does not exist, was deleted or is hidden."""
        request = tweets_pb2.BatchGetTweetsRequest(ids=ids, consistency_token=consistency_token)
        reply = tweets_pb2.BatchGetTweetsResponse
        answer = await self._call(tweets_pb2_grpc.TweetServiceStub, "BatchGetTweets", request, reply, timeout_s)
        return {result.id: result.tweet if result.HasField("tweet") else None for result in answer.results}

    # --- graph ------------------------------------------------------------------------------------------------------

    async def follow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.FollowResponse:
        request, reply = graph_pb2.FollowRequest(user_id=user_id), graph_pb2.FollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Follow", request, reply, timeout_s)

    async def unfollow(self, user_id: int, *, timeout_s: float = WRITE_S) -> graph_pb2.UnfollowResponse:
        request, reply = graph_pb2.UnfollowRequest(user_id=user_id), graph_pb2.UnfollowResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "Unfollow", request, reply, timeout_s)

    async def get_relationship(
        self, user_id: int, *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> graph_pb2.Relationship:
        request = graph_pb2.GetRelationshipRequest(user_id=user_id, consistency_token=consistency_token)
        reply = graph_pb2.GetRelationshipResponse
        answer = await self._call(graph_pb2_grpc.GraphServiceStub, "GetRelationship", request, reply, timeout_s)
        return answer.relationship

    async def batch_get_relationships(
        self, user_ids: Iterable[int], *, consistency_token: str = "", timeout_s: float = READ_S
    ) -> dict[int, graph_pb2.Relationship | None]:
        request = graph_pb2.BatchGetRelationshipsRequest(user_ids=user_ids, consistency_token=consistency_token)
        reply = graph_pb2.BatchGetRelationshipsResponse
        answer = await self._call(graph_pb2_grpc.GraphServiceStub, "BatchGetRelationships", request, reply, timeout_s)
        return {r.user_id: r.relationship if r.HasField("relationship") else None for r in answer.results}

    async def list_following_page(
        self, request: graph_pb2.ListFollowingRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListFollowingResponse:
        reply = graph_pb2.ListFollowingResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListFollowing", request, reply, timeout_s)

    async def list_followers_page(
        self, request: graph_pb2.ListFollowersRequest, *, timeout_s: float = LIST_S
    ) -> graph_pb2.ListFollowersResponse:
        reply = graph_pb2.ListFollowersResponse
        return await self._call(graph_pb2_grpc.GraphServiceStub, "ListFollowers", request, reply, timeout_s)

    async def following(self, user_id: int, *, page_size: int = 0) -> AsyncIterator[graph_pb2.FollowEdge]:
        """Everybody `user_id` follows, the newest edge first."""

        async def read(token: str) -> graph_pb2.ListFollowingResponse:
            return await self.list_following_page(
                graph_pb2.ListFollowingRequest(user_id=user_id, page_size=page_size, page_token=token)
            )

        async for page in _pages(read):
            for edge in page.edges:
                yield edge

    async def followers(self, user_id: int, *, page_size: int = 0) -> AsyncIterator[int]:
        """The ids of everybody who follows `user_id`, ascending."""

        async def read(token: str) -> graph_pb2.ListFollowersResponse:
            return await self.list_followers_page(
                graph_pb2.ListFollowersRequest(user_id=user_id, page_size=page_size, page_token=token)
            )

        async for page in _pages(read):
            for follower_id in page.follower_ids:
                yield follower_id

    # --- timelines --------------------------------------------------------------------------------------------------

    async def home_page(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        newer_token: str = "",
        consistency_token: str = "",
        include_users: bool = False,
        timeout_s: float = LIST_S,
    ) -> timelines_pb2.GetHomeTimelineResponse:
        """One page of the acting user's home; what it claims is in `info`."""
        request = timelines_pb2.GetHomeTimelineRequest(
            page_size=page_size, consistency_token=consistency_token, include_users=include_users
        )
        if page_token:
            request.page_token = page_token
        if newer_token:
            request.newer_token = newer_token
        reply = timelines_pb2.GetHomeTimelineResponse
        return await self._call(timelines_pb2_grpc.TimelineServiceStub, "GetHomeTimeline", request, reply, timeout_s)

    async def home_timeline(self, *, page_size: int = 0) -> AsyncIterator[tweets_pb2.Tweet]:
        """The acting user's home, newest first, down to the end of history."""

        async def read(token: str) -> timelines_pb2.GetHomeTimelineResponse:
            return await self.home_page(page_size=page_size, page_token=token)

        async for page in _pages(read):
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

        async for page in _pages(read):
            for tweet in page.tweets:
                yield tweet

    # --- administration (scope `admin`) -----------------------------------------------------------------------------

    async def outbox_status(self, *, days: int = 0, timeout_s: float = LIST_S) -> admin_pb2.GetOutboxStatusResponse:
        request, reply = admin_pb2.GetOutboxStatusRequest(days=days), admin_pb2.GetOutboxStatusResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "GetOutboxStatus", request, reply, timeout_s)

    async def list_shards(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListShardsResponse:
        request, reply = admin_pb2.ListShardsRequest(), admin_pb2.ListShardsResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListShards", request, reply, timeout_s)

    async def list_leases(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListLeasesResponse:
        request, reply = admin_pb2.ListLeasesRequest(), admin_pb2.ListLeasesResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListLeases", request, reply, timeout_s)

    async def list_watermarks(self, *, timeout_s: float = LIST_S) -> admin_pb2.ListWatermarksResponse:
        request, reply = admin_pb2.ListWatermarksRequest(), admin_pb2.ListWatermarksResponse
        return await self._call(admin_pb2_grpc.AdminServiceStub, "ListWatermarks", request, reply, timeout_s)
