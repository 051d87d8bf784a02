"""The same client for code without an event loop.

One background thread runs the asynchronous client; every method here waits for the one of the same name.  Safe to use
from several threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from rookery.client import Client as AsyncClient
from rookery.credentials import Credentials
from rookery.v1 import admin_pb2, graph_pb2, timelines_pb2, tweets_pb2, users_pb2

Result = TypeVar("Result")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rookery-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def iterate(self, items: AsyncIterator[Result]) -> Iterator[Result]:
        missing = object()

        async def step() -> Any:
            return await anext(items, missing)

        try:
            while (item := self.run(step())) is not missing:
                yield item
        finally:  # an iterator that is left half-way ends its stream
            if isinstance(items, AsyncGenerator):
                self.run(items.aclose())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Client:
    """See `rookery.Client`; the methods are the same, without `await`."""

    def __init__(
        self,
        target: str,
        credentials: Credentials | None = None,
        *,
        tls: grpc.ChannelCredentials | None = None,
        connections: int = 1,
    ):
        self._loop = _Loop()
        self._client = self._loop.run(self._open(target, credentials, tls, connections))

    @staticmethod
    async def _open(
        target: str, credentials: Credentials | None, tls: grpc.ChannelCredentials | None, connections: int
    ) -> AsyncClient:
        return AsyncClient(
            target, credentials, tls=tls, connections=connections
        )  # channels belong to the loop's thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._loop.run(self._client.close())
        self._loop.stop()

    def acting_as(self, user_id: int) -> Client:
        other = object.__new__(type(self))
        other._loop, other._client = self._loop, self._client.acting_as(user_id)
        return other

    def create_user(
        self,
        username: str,
        *,
        display_name: str = "",
        bio: str = "",
        location: str = "",
        url: str = "",
        request_id: str | None = None,
    ) -> users_pb2.CreateUserResponse:
        return self._loop.run(
            self._client.create_user(
                username, display_name=display_name, bio=bio, location=location, url=url, request_id=request_id
            )
        )

    def get_user(self, user: int | str, *, consistency_token: str = "") -> users_pb2.User:
        return self._loop.run(self._client.get_user(user, consistency_token=consistency_token))

    def batch_get_users(self, ids: Iterable[int], *, consistency_token: str = "") -> dict[int, users_pb2.User | None]:
        return self._loop.run(self._client.batch_get_users(ids, consistency_token=consistency_token))

    def update_profile(
        self,
        etag: str,
        *,
        display_name: str | None = None,
        bio: str | None = None,
        location: str | None = None,
        url: str | None = None,
    ) -> users_pb2.UpdateProfileResponse:
        return self._loop.run(
            self._client.update_profile(etag, display_name=display_name, bio=bio, location=location, url=url)
        )

    def set_protected(self, protected: bool) -> users_pb2.SetProtectedResponse:
        return self._loop.run(self._client.set_protected(protected))

    def rename(self, username: str) -> users_pb2.RenameResponse:
        return self._loop.run(self._client.rename(username))

    def deactivate(self) -> users_pb2.DeactivateResponse:
        return self._loop.run(self._client.deactivate())

    def reactivate(self) -> users_pb2.ReactivateResponse:
        return self._loop.run(self._client.reactivate())

    def create_tweet(
        self,
        text: str,
        *,
        in_reply_to_id: int = 0,
        quoted_id: int = 0,
        media: Iterable[str] = (),
        request_id: str | None = None,
    ) -> tweets_pb2.CreateTweetResponse:
        return self._loop.run(
            self._client.create_tweet(
                text, in_reply_to_id=in_reply_to_id, quoted_id=quoted_id, media=media, request_id=request_id
            )
        )

    def delete_tweet(self, tweet_id: int) -> tweets_pb2.DeleteTweetResponse:
        return self._loop.run(self._client.delete_tweet(tweet_id))

    def get_tweet(self, tweet_id: int, *, consistency_token: str = "") -> tweets_pb2.Tweet:
        return self._loop.run(self._client.get_tweet(tweet_id, consistency_token=consistency_token))

    def batch_get_tweets(
        self, ids: Iterable[int], *, consistency_token: str = ""
    ) -> dict[int, tweets_pb2.Tweet | None]:
        return self._loop.run(self._client.batch_get_tweets(ids, consistency_token=consistency_token))

    def follow(self, user_id: int) -> graph_pb2.FollowResponse:
        return self._loop.run(self._client.follow(user_id))

    def unfollow(self, user_id: int) -> graph_pb2.UnfollowResponse:
        return self._loop.run(self._client.unfollow(user_id))

    def get_relationship(self, user_id: int, *, consistency_token: str = "") -> graph_pb2.Relationship:
        return self._loop.run(self._client.get_relationship(user_id, consistency_token=consistency_token))

    def batch_get_relationships(
        self, user_ids: Iterable[int], *, consistency_token: str = ""
    ) -> dict[int, graph_pb2.Relationship | None]:
        return self._loop.run(self._client.batch_get_relationships(user_ids, consistency_token=consistency_token))

    def following(self, user_id: int, *, page_size: int = 0) -> Iterator[graph_pb2.FollowEdge]:
        return self._loop.iterate(self._client.following(user_id, page_size=page_size))

    def followers(self, user_id: int, *, page_size: int = 0) -> Iterator[int]:
        return self._loop.iterate(self._client.followers(user_id, page_size=page_size))

    def block(self, user_id: int) -> graph_pb2.BlockResponse:
        return self._loop.run(self._client.block(user_id))

    def unblock(self, user_id: int) -> graph_pb2.UnblockResponse:
        return self._loop.run(self._client.unblock(user_id))

    def mute(self, user_id: int, *, until: datetime | None = None) -> graph_pb2.MuteResponse:
        return self._loop.run(self._client.mute(user_id, until=until))

    def unmute(self, user_id: int) -> graph_pb2.UnmuteResponse:
        return self._loop.run(self._client.unmute(user_id))

    def approve_follow(self, user_id: int) -> graph_pb2.ApproveFollowResponse:
        return self._loop.run(self._client.approve_follow(user_id))

    def deny_follow(self, user_id: int) -> graph_pb2.DenyFollowResponse:
        return self._loop.run(self._client.deny_follow(user_id))

    def blocks(self, *, page_size: int = 0) -> Iterator[graph_pb2.BlockedAccount]:
        return self._loop.iterate(self._client.blocks(page_size=page_size))

    def mutes(self, *, page_size: int = 0) -> Iterator[graph_pb2.MutedAccount]:
        return self._loop.iterate(self._client.mutes(page_size=page_size))

    def follow_requests(self, *, page_size: int = 0) -> Iterator[graph_pb2.FollowRequester]:
        return self._loop.iterate(self._client.follow_requests(page_size=page_size))

    def home_page(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        newer_token: str = "",
        consistency_token: str = "",
        include_users: bool = False,
        only_known_replies: bool = False,
    ) -> timelines_pb2.GetHomeTimelineResponse:
        return self._loop.run(
            self._client.home_page(
                page_size=page_size,
                page_token=page_token,
                newer_token=newer_token,
                consistency_token=consistency_token,
                include_users=include_users,
                only_known_replies=only_known_replies,
            )
        )

    def home_timeline(self, *, page_size: int = 0, only_known_replies: bool = False) -> Iterator[tweets_pb2.Tweet]:
        return self._loop.iterate(
            self._client.home_timeline(page_size=page_size, only_known_replies=only_known_replies)
        )

    def stream_home(
        self,
        *,
        resume_token: str = "",
        newer_token: str = "",
        only_known_replies: bool = False,
        include_users: bool = False,
        give_up_s: float | None = None,
    ) -> Iterator[timelines_pb2.StreamHomeTimelineResponse]:
        """Ends when its iterator is closed."""
        return self._loop.iterate(
            self._client.stream_home(
                resume_token=resume_token,
                newer_token=newer_token,
                only_known_replies=only_known_replies,
                include_users=include_users,
                give_up_s=give_up_s,
            )
        )

    def user_page(
        self,
        user_id: int,
        *,
        page_size: int = 0,
        page_token: str = "",
        exclude_replies: bool = False,
        include_users: bool = False,
        consistency_token: str = "",
    ) -> timelines_pb2.GetUserTimelineResponse:
        return self._loop.run(
            self._client.user_page(
                user_id,
                page_size=page_size,
                page_token=page_token,
                exclude_replies=exclude_replies,
                include_users=include_users,
                consistency_token=consistency_token,
            )
        )

    def user_timeline(
        self, user_id: int, *, page_size: int = 0, exclude_replies: bool = False
    ) -> Iterator[tweets_pb2.Tweet]:
        return self._loop.iterate(
            self._client.user_timeline(user_id, page_size=page_size, exclude_replies=exclude_replies)
        )

    def outbox_status(self, *, days: int = 0) -> admin_pb2.GetOutboxStatusResponse:
        return self._loop.run(self._client.outbox_status(days=days))

    def release_dead_letters(self, event_ids: Iterable[int]) -> admin_pb2.ReleaseDeadLettersResponse:
        return self._loop.run(self._client.release_dead_letters(event_ids))

    def list_shards(self) -> admin_pb2.ListShardsResponse:
        return self._loop.run(self._client.list_shards())

    def list_leases(self) -> admin_pb2.ListLeasesResponse:
        return self._loop.run(self._client.list_leases())

    def list_watermarks(self) -> admin_pb2.ListWatermarksResponse:
        return self._loop.run(self._client.list_watermarks())

    def verify_home(self, user_id: int) -> admin_pb2.VerifyHomeTimelineResponse:
        return self._loop.run(self._client.verify_home(user_id))

    def explain_home(self, user_id: int, tweet_id: int) -> admin_pb2.ExplainHomeTimelineResponse:
        return self._loop.run(self._client.explain_home(user_id, tweet_id))

    def rebuild_home(self, user_id: int) -> admin_pb2.RebuildHomeTimelineResponse:
        return self._loop.run(self._client.rebuild_home(user_id))

    def list_author_tiers(self, author_ids: Iterable[int] = ()) -> admin_pb2.ListAuthorTiersResponse:
        return self._loop.run(self._client.list_author_tiers(author_ids))

    def suspend_user(self, user_id: int) -> admin_pb2.SuspendUserResponse:
        return self._loop.run(self._client.suspend_user(user_id))

    def unsuspend_user(self, user_id: int) -> admin_pb2.UnsuspendUserResponse:
        return self._loop.run(self._client.unsuspend_user(user_id))

    def recount_user(self, user_id: int) -> users_pb2.UserCounts:
        return self._loop.run(self._client.recount_user(user_id))
