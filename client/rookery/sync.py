"""The same client for code without an event loop.

One background thread runs the asynchronous client; every method here waits for the one of the same name.  Safe to use
from several threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from rookery.client import Client as AsyncClient
from rookery.credentials import Credentials
from rookery.v1 import graph_pb2, timelines_pb2, tweets_pb2, users_pb2

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

        while (item := self.run(step())) is not missing:
            yield item

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

    def home_page(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        newer_token: str = "",
        consistency_token: str = "",
        include_users: bool = False,
    ) -> timelines_pb2.GetHomeTimelineResponse:
        return self._loop.run(
            self._client.home_page(
                page_size=page_size,
                page_token=page_token,
                newer_token=newer_token,
                consistency_token=consistency_token,
                include_users=include_users,
            )
        )

    def home_timeline(self, *, page_size: int = 0) -> Iterator[tweets_pb2.Tweet]:
        return self._loop.iterate(self._client.home_timeline(page_size=page_size))

    def user_timeline(
        self, user_id: int, *, page_size: int = 0, exclude_replies: bool = False
    ) -> Iterator[tweets_pb2.Tweet]:
        return self._loop.iterate(
            self._client.user_timeline(user_id, page_size=page_size, exclude_replies=exclude_replies)
        )
