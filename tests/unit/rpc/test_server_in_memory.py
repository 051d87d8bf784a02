"""The whole server process on the memory adapters, called through the client package."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import structlog

from rookery import Client, Credentials, errors
from rookery.v1 import tweets_pb2, tweets_pb2_grpc, users_pb2
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.tokens import TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.identity import TrustingIdentity
from rookery_server.rpc.methods import methods
from rookery_server.store.memory import MemoryStoreWorld, StoreHooks
from rookery_server.wiring.serving import Listening, ServerProcess
from tests.support.fuzz import OWN_CONNECTION, answers_well


class Gate(StoreHooks):
    """Holds one operation until told."""

    def __init__(self) -> None:
        self.held = ""
        self.reached, self.go_on, self.done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def before(self, operation: str) -> None:
        if operation == self.held:
            self.reached.set()
            await self.go_on.wait()

    async def after(self, operation: str) -> None:
        if operation == self.held:
            self.done.set()


@dataclass
class Whole:
    target: str
    gate: Gate
    clients: list[Client] = field(default_factory=list)

    def client(self, user_id: int | None = None) -> Client:
        client = Client(self.target, Credentials(acting_user=user_id))
        self.clients.append(client)
        return client

    async def sign_up(self) -> tuple[int, Client]:
        name = f"u{secrets.token_hex(6)}"
        user_id = (await self.client().create_user(name)).user.id
        return user_id, self.client(user_id)


@pytest.fixture
async def whole() -> AsyncIterator[Whole]:
    clock, gate = SystemClock(), Gate()
    caches = MemoryCacheWorld(clock)
    caches.adopt()
    process = ServerProcess(
        MemoryStoreWorld(clock).client(hooks=gate),
        caches.client(),
        clock,
        Metrics(m.label for m in methods()),
        TrustingIdentity(),
        TokenSigner({1: b"k" * 32}, signing=1),
        "test/1/a",
        Listening("127.0.0.1:0", "127.0.0.1:0", drain_s=1),
    )
    port, _ = await process.start()
    serving = Whole(f"127.0.0.1:{port}", gate)
    yield serving
    for client in serving.clients:
        await client.close()
    await process.drain()


async def test_from_sign_up_to_the_end_of_a_home_page(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    bob_id, bob = await whole.sign_up()
    for at in range(25):
        await bob.create_tweet(f"number {at} #tag")
    seen = (await ada.follow(bob_id)).consistency_token
    first = await ada.home_page(page_size=20, consistency_token=seen, include_users=True)
    assert [tweet.text for tweet in first.tweets] == [f"number {at} #tag" for at in range(24, 4, -1)]
    assert [user.id for user in first.users] == [bob_id]
    assert (first.tweets[0].entities.hashtags[0].value, first.info.end_of_history) == ("tag", False)
    last = await ada.home_page(page_size=20, page_token=first.next_page_token)
    assert (len(last.tweets), last.next_page_token, last.info.end_of_history) == (5, "", True)
    assert [tweet.id async for tweet in bob.user_timeline(bob_id, page_size=7)] == [
        tweet.id for tweet in (*first.tweets, *last.tweets)
    ]
    assert [edge.user_id async for edge in ada.following(ada_id)] == [bob_id]
    assert [user_id async for user_id in bob.followers(bob_id)] == [ada_id]


async def test_a_home_stays_open_and_goes_on_where_it_was(whole: Whole) -> None:
    _, ada = await whole.sign_up()
    first = (await ada.create_tweet("before")).tweet
    newer = (await ada.home_page()).newer_token
    messages = ada.stream_home(newer_token=newer, include_users=True)
    async with asyncio.timeout(20), aclosing(messages):
        seen: list[str] = []
        posted = False
        async for message in messages:
            seen += [tweet.text for tweet in message.tweets]
            token = message.resume_token
            if not posted:
                posted = True
                await ada.create_tweet("while it was open")
            if "while it was open" in seen:
                break
    assert seen.count("while it was open") == 1
    await ada.create_tweet("while it was closed")
    again = ada.stream_home(resume_token=token)
    later: list[str] = []
    async with asyncio.timeout(20), aclosing(again):
        async for message in again:
            later += [tweet.text for tweet in message.tweets]
            if later:
                break
    assert later == ["while it was closed"]
    assert first.text not in later


async def test_a_fifth_stream_is_refused_and_the_others_go_on(whole: Whole) -> None:
    _, ada = await whole.sign_up()
    streams = [ada.stream_home(give_up_s=0.0) for _ in range(5)]
    async with AsyncExitStack() as open_streams:
        for stream in streams:
            await open_streams.enter_async_context(aclosing(stream))
        for stream in streams[:4]:
            assert (await anext(stream)).resume_token
        with pytest.raises(errors.TooManyStreams):
            await anext(streams[4])


async def test_relations_and_states_over_the_wire(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    bob_id, bob = await whole.sign_up()
    assert (await bob.set_protected(True)).user.protected
    assert (await ada.follow(bob_id)).requested
    assert [found.user_id async for found in bob.follow_requests()] == [ada_id]
    assert (await ada.get_relationship(bob_id)).requested
    await bob.approve_follow(ada_id)
    assert (await ada.get_relationship(bob_id)).following
    await bob.block(ada_id)
    between = await ada.get_relationship(bob_id)
    assert (between.following, between.blocked_by) == (False, True)
    assert [found.user_id async for found in bob.blocks()] == [ada_id]
    with pytest.raises(errors.NotFound):
        await ada.follow(bob_id)
    await bob.mute(ada_id, until=datetime.now(UTC) + timedelta(hours=1))
    assert [found.HasField("expire_time") async for found in bob.mutes()] == [True]
    await bob.deactivate()
    with pytest.raises(errors.AccountInactive):
        await bob.create_tweet("from nobody")
    with pytest.raises(errors.NotFound):
        await ada.get_user(bob_id)
    await bob.reactivate()
    assert (await ada.get_user(bob_id)).id == bob_id


async def test_administrators_look_and_act(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    tweet = (await ada.create_tweet("hello")).tweet
    await ada.home_page()
    admin = whole.client()
    assert not any(difference.claimed for difference in (await admin.verify_home(ada_id)).differences)
    explained = await admin.explain_home(ada_id, tweet.id)
    assert (explained.author_id, explained.following) == (ada_id, True)
    assert (await admin.rebuild_home(ada_id)).size == 1
    assert (await admin.recount_user(ada_id)).tweets == 1
    (tier,) = (await admin.list_author_tiers([ada_id])).tiers
    assert (tier.author_id, tier.delivered, tier.merged) == (ada_id, True, False)
    assert (await admin.suspend_user(ada_id)).user.state == users_pb2.USER_STATE_SUSPENDED
    with pytest.raises(errors.AccountInactive):
        await ada.reactivate()
    assert (await admin.unsuspend_user(ada_id)).user.state == users_pb2.USER_STATE_ACTIVE


async def test_a_deleted_tweet_is_nowhere(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    tweet = (await ada.create_tweet("soon gone")).tweet
    assert (await ada.delete_tweet(tweet.id)).settled
    with pytest.raises(errors.NotFound) as caught:
        await ada.get_tweet(tweet.id)
    assert (caught.value.reason, caught.value.outcome) == ("NOT_FOUND", "none")
    assert (await ada.batch_get_tweets([tweet.id])) == {tweet.id: None}
    assert not (await ada.home_page()).tweets
    assert not (await ada.user_page(ada_id)).tweets


async def test_errors_say_why(whole: Whole) -> None:
    _, ada = await whole.sign_up()
    bob_id, bob = await whole.sign_up()
    theirs = (await bob.create_tweet("mine")).tweet.id
    with pytest.raises(errors.PermissionDenied):
        await ada.delete_tweet(theirs)
    with pytest.raises(errors.InvalidText) as caught:
        await ada.create_tweet("x" * 281)
    assert [violation.field for violation in caught.value.violations] == ["text"]
    with pytest.raises(errors.InvalidArgument):
        await bob.follow(bob_id)
    with pytest.raises(errors.Unauthenticated):
        await whole.client().create_tweet("by nobody")
    with pytest.raises(errors.StaleEtag) as stale:
        await ada.update_profile("old", bio="new")
    current = await ada.update_profile(stale.value.etag, bio="new")
    assert current.user.profile.bio == "new"


async def test_one_request_id_is_one_tweet_however_often_it_is_sent(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    request_id = str(uuid.uuid4())
    replies = await asyncio.gather(*(ada.create_tweet("once", request_id=request_id) for _ in range(100)))
    assert len({reply.tweet.id for reply in replies}) == 1
    with pytest.raises(errors.RequestIdReused) as caught:
        await ada.create_tweet("another text", request_id=request_id)
    assert caught.value.outcome == "none"
    assert [tweet.text async for tweet in ada.user_timeline(ada_id)] == ["once"]


async def test_a_write_that_has_begun_ends_although_its_caller_left(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    whole.gate.held = "post"
    async with grpc.aio.insecure_channel(whole.target) as channel:
        stub = tweets_pb2_grpc.TweetServiceStub(channel)
        acting = (("rookery-acting-user", str(ada_id)),)
        call = stub.CreateTweet(tweets_pb2.CreateTweetRequest(text="kept"), metadata=acting)
        waiting = asyncio.ensure_future(call)
        await whole.gate.reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    whole.gate.go_on.set()
    await whole.gate.done.wait()
    assert [tweet.text async for tweet in ada.user_timeline(ada_id)] == ["kept"]


async def test_odd_requests_are_never_our_fault(whole: Whole) -> None:
    ada_id, ada = await whole.sign_up()
    bob_id, bob = await whole.sign_up()
    await ada.follow(bob_id)
    ids = (ada_id, bob_id, (await bob.create_tweet("hello")).tweet.id, 1)

    async def send(seed: int) -> Counter[str]:
        # A connection each: changes of accounts take a second by design, and one connection has few calls at once.
        async with grpc.aio.insecure_channel(whole.target, OWN_CONNECTION) as channel:
            return await answers_well(channel, methods(), count=500, seed=seed, ids=ids)

    with structlog.testing.capture_logs() as logs:
        codes = sum(await asyncio.gather(*(send(seed) for seed in range(8))), Counter[str]())
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes)
    assert not [line for line in logs if line["log_level"] == "error"]
