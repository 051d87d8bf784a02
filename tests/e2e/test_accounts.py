"""Account states through two servers and a worker, on the real engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest

from rookery import Client, errors
from rookery.v1 import users_pb2
from rookery_server.dev.installation import Service
from rookery_server.domain.limits import COPY_WAIT_S
from tests.e2e.conftest import Running
from tests.e2e.test_repeats import account
from tests.support.patient import PatientClient, settled

CALL_S = 10.0


@pytest.fixture(scope="module")
def another(running: Running) -> Iterator[Service]:
    service = running.installation.start_server("e2e-serve-accounts")
    yield service
    service.node.stop()


@pytest.fixture
async def second(another: Service) -> AsyncIterator[Client]:
    """Of another server, whose copies are its own."""
    async with PatientClient(another.target) as client:
        yield client


async def gone(call: Awaitable[object]) -> None:
    with pytest.raises(errors.NotFound):
        await call


async def test_what_was_settled_shows_on_no_server_while_everybody_looks(
    client: Client, second: Client, unique: str
) -> None:
    ada, bo = await account(client, unique), await account(client, f"{unique}b")
    tweet = (await ada.create_tweet("here", timeout_s=CALL_S)).tweet
    await bo.follow(tweet.author_id, timeout_s=CALL_S)
    looker, over = second.acting_as((await client.get_user(f"{unique}b")).id), asyncio.Event()

    async def look_on() -> int:
        looks = 0
        while not over.is_set():
            await looker.batch_get_users([tweet.author_id])
            await looker.batch_get_tweets([tweet.id])
            looks += 1
        return looks

    looking = [asyncio.create_task(look_on()) for _ in range(4)]
    try:
        for _ in range(3):
            began = time.monotonic()
            reply = await settled(lambda: ada.deactivate(timeout_s=CALL_S))
            assert reply.user.state == users_pb2.USER_STATE_DEACTIVATED
            assert time.monotonic() - began >= COPY_WAIT_S
            for viewer in (looker, bo):
                await gone(viewer.get_user(tweet.author_id))
                await gone(viewer.get_user(unique))
                await gone(viewer.get_tweet(tweet.id))
                await gone(viewer.user_page(tweet.author_id))
                assert await viewer.batch_get_users([tweet.author_id]) == {tweet.author_id: None}
            assert tweet.id not in [shown.id async for shown in looker.home_timeline()]
            for server in (client, second):
                with pytest.raises(errors.AccountInactive):
                    await server.acting_as(tweet.author_id).create_tweet("still here", timeout_s=CALL_S)
            await settled(lambda: ada.reactivate(timeout_s=CALL_S))
            assert (await looker.get_tweet(tweet.id)).id == tweet.id
            assert tweet.id in [shown.id async for shown in looker.home_timeline()]
    finally:
        over.set()
    assert sum(await asyncio.gather(*looking)) > 20


async def test_protected_tweets_show_to_followers_only(client: Client, second: Client, unique: str) -> None:
    ada, bo, eve = [await account(client, f"{unique}{letter}") for letter in "abe"]
    tweet = (await ada.create_tweet("for friends", timeout_s=CALL_S)).tweet
    await bo.follow(tweet.author_id, timeout_s=CALL_S)
    bo_there, eve_there = [second.acting_as((await client.get_user(f"{unique}{letter}")).id) for letter in "be"]
    assert (await eve_there.get_tweet(tweet.id)).id == tweet.id
    await settled(lambda: ada.set_protected(True, timeout_s=CALL_S))
    assert (await bo_there.get_tweet(tweet.id)).id == tweet.id
    await gone(eve_there.get_tweet(tweet.id))
    await gone(second.get_tweet(tweet.id))
    assert (await eve_there.get_user(tweet.author_id)).protected
    assert (await eve.follow(tweet.author_id, timeout_s=CALL_S)).requested
    await settled(lambda: ada.set_protected(False, timeout_s=CALL_S))
    assert (await eve_there.get_tweet(tweet.id)).id == tweet.id


async def test_names_and_moderation(client: Client, second: Client, unique: str) -> None:
    ada, bo = await account(client, unique), await account(client, f"{unique}b")
    id_ = (await client.get_user(unique)).id
    await settled(lambda: ada.rename(f"{unique}x", timeout_s=CALL_S))
    assert [user.username for user in (await second.batch_get_users([id_])).values() if user] == [f"{unique}x"]
    await gone(second.get_user(unique))
    with pytest.raises(errors.UsernameTaken):
        await bo.rename(unique.upper(), timeout_s=CALL_S)
    assert (await ada.rename(unique, timeout_s=CALL_S)).user.username == unique
    await settled(lambda: client.suspend_user(id_, timeout_s=CALL_S))
    with pytest.raises(errors.AccountInactive):
        await second.acting_as(id_).reactivate(timeout_s=CALL_S)
    await gone(bo.get_user(id_))
    lifted = await settled(lambda: client.unsuspend_user(id_, timeout_s=CALL_S))
    assert lifted.user.state == users_pb2.USER_STATE_ACTIVE
    assert (await second.get_user(unique)).id == id_
