"""A server killed after each await of post, delete and build, one by one, on real engines; a batch that commits late.

A server acts once unharmed, and then dies once right after each call it awaited then.  The client repeats with the same
request id on a server that is well.  All the while readers scroll, and in the end nothing is lost, doubled or wrong:
docs/faults.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from rookery import Client, errors
from tests.support.fail_points import Failing
from tests.support.ground import ENOUGH, Ground, author_with_followers
from tests.support.readers import now_ms
from tests.support.real_run import await_claim
from tests.support.witness import PATIENT_S, Witness

pytestmark = pytest.mark.timeout(400)

TRIED_S = 10.0
"""How long a client repeats what is never answered: not until what is late is there."""


@asynccontextmanager
async def failing_server(ground: Ground, at: int, **point: object) -> AsyncIterator[tuple[Failing, Client]]:
    server = await ground.forks.server(at=at, **point)
    async with Client(server.target) as client:
        yield server, client
    if server.alive:
        await server.kill()


async def killed_after_each_await(ground: Ground, act: Callable[[Failing, Client], Awaitable[None]]) -> list[str]:
    """Acts once unharmed, to learn which calls are awaited, then once for each of them with a server that dies of its
    answer.  Returns what servers died of, in the order of the first run.  By name, not by number: calls that are made
    side by side are answered in any order."""
    async with failing_server(ground, ENOUGH) as (server, client):
        await act(server, client)
        awaited = server.trace()
    died_of: list[str] = []
    met: Counter[str] = Counter()
    for name in awaited:
        met[name] += 1
        async with failing_server(ground, met[name], methods=[name]) as (server, client):
            await act(server, client)
            if not server.alive:
                died_of.append(name)
    return died_of


def steps(died_of: list[str]) -> list[str]:
    """Without the looks at accounts, which are there or not by what is cached already."""
    looks = {"read_profiles", "get_users", "store_profiles"}
    assert looks & {*died_of}
    return [name for name in died_of if name not in looks]


async def test_a_server_killed_after_each_await_of_a_post(ground: Ground, witness: Witness) -> None:
    author = await author_with_followers(witness, 2)

    async def post(_: Failing, client: Client) -> None:
        await witness.post(author, client)

    async with witness.watching():
        died_of = await killed_after_each_await(ground, post)
        await witness.shows(witness.posts[-1])
    *written, one, other = steps(died_of)
    assert (written, {one, other}) == (["claim_request", "post"], {"fill_bodies", "place_own"})  # these two at once
    await witness.judge()


async def test_a_server_killed_after_the_commit_and_before_the_reply(ground: Ground, witness: Witness) -> None:
    author = await author_with_followers(witness, 2)
    async with witness.watching(), failing_server(ground, 1, methods=["post"]) as (server, client):
        request_id = "00000000-0000-4000-8000-000000000001"
        with pytest.raises(errors.RookeryError) as lost:
            await client.acting_as(author).create_tweet("once", request_id=request_id, timeout_s=PATIENT_S)
        assert lost.value.outcome == "unknown"
        assert not server.alive
        committed = [tweet.id async for tweet in ground.client.user_timeline(author)]
        reply = await ground.client.acting_as(author).create_tweet("once", request_id=request_id, timeout_s=PATIENT_S)
        assert [reply.tweet.id] == committed
    for reader in witness.readers:
        await await_claim(ground.client.acting_as(reader), now_ms())  # before that a page may lack it and says so
        assert [tweet.id async for tweet in ground.client.acting_as(reader).home_timeline()] == committed


async def test_a_server_killed_after_each_await_of_a_delete(ground: Ground, witness: Witness) -> None:
    author = await author_with_followers(witness, 2)

    async def delete(_: Failing, client: Client) -> None:
        kept, gone = await witness.post(author), await witness.post(author)
        await witness.shows(kept)
        await witness.delete(gone, client)
        with pytest.raises(errors.NotFound):
            await ground.client.get_tweet(gone.id)

    async with witness.watching():
        died_of = await killed_after_each_await(ground, delete)
    assert steps(died_of) == ["get_tweets", "user_tweet", "delete", "mark_deleted"]
    await witness.judge()


async def test_a_server_killed_after_each_await_of_a_build(ground: Ground, witness: Witness) -> None:
    """Cold every time: a new reader of new authors, whose own lists have to be loaded too."""

    async def build(server: Failing, client: Client) -> None:
        authors = [await witness.person() for _ in range(2)]
        for author in authors * 3:
            await witness.post(author)
        reader = await witness.person(*authors)
        try:
            page = await client.acting_as(reader).home_page(page_size=5, timeout_s=PATIENT_S)
            assert [tweet.id for tweet in page.tweets] == [post.id for post in witness.posts[:-6:-1]]
        except errors.Unavailable:
            await server.died()
        witness.readers.append(reader)
        await witness.post(authors[0])

    async with witness.watching():
        died_of = await killed_after_each_await(ground, build)
    print(f"\nbuild: killed after {died_of}")  # noqa: T201
    assert {"read_home", "begin_home", "following", "begin_authors", "finish_authors", "finish_home"} <= {*died_of}
    await witness.judge()


async def test_a_batch_that_commits_late_is_delivered_in_its_place(ground: Ground, witness: Witness) -> None:
    """Later than any poll reads back (20 s): only the audit of its minute finds it."""
    author = await author_with_followers(witness, 2)
    server = await ground.forks.server(late="post_batch", late_s=25.0)
    async with witness.watching(), Client(server.target) as client:
        first = await witness.post(author)
        with pytest.raises(errors.RookeryError) as unknown:
            await client.acting_as(author).create_tweet("late", timeout_s=TRIED_S)
        assert unknown.value.outcome == "unknown"
        assert [tweet.id async for tweet in ground.client.user_timeline(author)] == [first.id]
        last = await witness.post(author)
        await witness.shows(last)
        began = time.monotonic()
        for reader in witness.readers:
            shown: list[str] = []
            async with asyncio.timeout(150):
                while len(shown) < 3:
                    shown = [tweet.text async for tweet in ground.client.acting_as(reader).home_timeline()]
                    await asyncio.sleep(0.2)  # the poll of the condition waited for
            assert shown == [last.text, "late", first.text]
    print(f"\nlate batch: on both homes {time.monotonic() - began:.1f} s after the post")  # noqa: T201
