"""What a caller may rely on when it repeats itself, on a real server and a real Cassandra."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from rookery import Client, errors
from rookery_server.domain.events import EventKind
from tests.e2e.conftest import Running
from tests.support.readers import now_ms


async def account(client: Client, name: str) -> Client:
    reply = await client.create_user(name, timeout_s=10.0)
    return client.acting_as(reply.user.id)


async def test_a_thousand_calls_with_one_request_id_make_one_tweet(
    client: Client, running: Running, unique: str
) -> None:
    ada = await account(client, unique)
    request_id = str(uuid.uuid4())

    async def post() -> int:
        return (await ada.create_tweet("once", request_id=request_id, timeout_s=20.0)).tweet.id

    began = now_ms()
    ids = set(await asyncio.gather(*(post() for _ in range(1000))))
    assert len(ids) == 1
    me = (await client.get_user(unique)).id
    assert [tweet.text async for tweet in client.user_timeline(me)] == ["once"]
    announced = await running.events(me, began - 1_000, now_ms() + 1_000)
    assert {event.target for event in announced if event.kind is EventKind.POST} == ids
    assert len(announced) <= 3, "few events: one, and perhaps a repeat of an unknown outcome"


async def test_the_same_request_id_with_another_text_is_refused_and_writes_nothing(client: Client, unique: str) -> None:
    ada = await account(client, unique)
    request_id = str(uuid.uuid4())
    first = await ada.create_tweet("first", request_id=request_id)
    with pytest.raises(errors.RequestIdReused) as refused:
        await ada.create_tweet("second", request_id=request_id)
    assert refused.value.outcome == "none"
    assert [tweet.id async for tweet in client.user_timeline(first.tweet.author_id)] == [first.tweet.id]


async def test_request_ids_belong_to_their_caller(client: Client, unique: str) -> None:
    ada, bo = await account(client, unique), await account(client, f"{unique}b")
    request_id = str(uuid.uuid4())
    first = await ada.create_tweet("hers", request_id=request_id)
    second = await bo.create_tweet("his", request_id=request_id)
    assert first.tweet.id != second.tweet.id


async def test_tweets_of_one_author_in_one_millisecond_all_survive(client: Client, unique: str) -> None:
    ada = await account(client, unique)
    replies = await asyncio.gather(*(ada.create_tweet(f"number {n}", timeout_s=10.0) for n in range(200)))
    ids = {reply.tweet.id for reply in replies}
    author = replies[0].tweet.author_id
    assert len(ids) == 200
    assert len({id_ >> 22 for id_ in ids}) < 200, "no two fell into one millisecond: post more at once"
    assert {tweet.id async for tweet in client.user_timeline(author, page_size=7)} == ids
    assert {tweet.id async for tweet in ada.home_timeline(page_size=7)} == ids


async def test_signing_up_again_with_the_request_id_gives_the_same_account(client: Client, unique: str) -> None:
    request_id = str(uuid.uuid4())
    first = await client.create_user(unique, request_id=request_id)
    again = await client.create_user(unique, request_id=request_id)
    assert first.user == again.user
    with pytest.raises(errors.UsernameTaken):
        await client.create_user(unique.upper())
