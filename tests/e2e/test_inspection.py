"""Verify, explain and rebuild through the client on the real engines, and the verifier in the background."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster

from rookery import Client
from rookery.v1 import admin_pb2
from rookery_server.cache import keys
from rookery_server.dev.stack import Stack
from tests.e2e.conftest import Running
from tests.support.patient import PatientClient, settled
from tests.support.readers import now_ms
from tests.support.real_run import await_claim

CALL_S = 10.0
WITHIN_S = 100.0
OFTEN = {"ROOKERY_VERIFIER__EVERY_S": "1"}
"""How often the verifier looks at one home; twice at one that differs."""


@pytest.fixture
async def cache(stack: Stack) -> AsyncIterator[RedisCluster]:
    """A way past the servers."""
    nodes = [ClusterNode(host, port) for host, port in stack.valkey_nodes]
    async with RedisCluster(startup_nodes=nodes) as cache:
        yield cache


async def reader_and_posts(client: Client, unique: str) -> tuple[int, int, list[int]]:
    """A reader, whom they follow, and what that author posted, all of it claimed."""
    author = (await client.create_user(f"{unique}a", timeout_s=CALL_S)).user.id
    reader = (await client.create_user(f"{unique}r", timeout_s=CALL_S)).user.id
    await client.acting_as(reader).follow(author, timeout_s=CALL_S)
    await client.acting_as(reader).home_page(timeout_s=CALL_S)
    posts = [(await client.acting_as(author).create_tweet(f"post {at}", timeout_s=CALL_S)).tweet.id for at in range(5)]
    await await_claim(client.acting_as(reader), now_ms())
    return reader, author, posts


async def test_a_healthy_home_shows_no_difference_and_says_why_what_is_there(client: Client, unique: str) -> None:
    reader, author, posts = await reader_and_posts(client, unique)
    verified = await client.verify_home(reader)
    assert verified.cached
    assert list(verified.differences) == []
    assert verified.compared == len(posts)
    assert verified.complete_through.ToMilliseconds() > posts[-1] >> 22
    explained = await client.explain_home(reader, posts[0])
    assert explained.verdict == admin_pb2.HOME_VERDICT_LISTED
    assert explained.listed
    assert explained.in_author_list
    assert (explained.author_id, explained.following) == (author, True)
    stranger = (await client.create_user(f"{unique}s", timeout_s=CALL_S)).user.id
    foreign = (await client.acting_as(stranger).create_tweet("to nobody", timeout_s=CALL_S)).tweet.id
    assert (await client.explain_home(reader, foreign)).verdict == admin_pb2.HOME_VERDICT_NOT_FOLLOWED


async def test_a_tweet_taken_out_behind_its_back_is_found_explained_and_healed(
    client: Client, cache: RedisCluster, unique: str
) -> None:
    reader, author, posts = await reader_and_posts(client, unique)
    lost = posts[2]
    assert await cache.lrem(keys.home(reader).decode(), 0, str(lost)) == 1
    verified = await client.verify_home(reader, timeout_s=60.0)
    (difference,) = verified.differences
    assert (difference.tweet_id, difference.author_id) == (lost, author)
    assert difference.kind == admin_pb2.DIFFERENCE_KIND_MISSING
    assert difference.claimed, "the page claimed to be complete beyond it"
    explained = await client.explain_home(reader, lost)
    assert explained.verdict == admin_pb2.HOME_VERDICT_LOST
    assert not explained.listed
    assert explained.in_author_list
    rebuilt = await settled(lambda: client.rebuild_home(reader, timeout_s=60.0))
    assert rebuilt.stored
    assert rebuilt.size == len(posts)
    assert list((await client.verify_home(reader, timeout_s=60.0)).differences) == []
    assert (await client.explain_home(reader, lost)).verdict == admin_pb2.HOME_VERDICT_LISTED
    assert [tweet.id async for tweet in client.acting_as(reader).home_timeline()] == posts[::-1]


async def test_the_verifier_in_the_background_counts_what_is_wrong(
    running: Running, unique: str, cache: RedisCluster
) -> None:
    """On a server of its own, so that the counters of the others go on reading 0."""
    service = await asyncio.to_thread(running.installation.start_server, "e2e-serve-verifier", settings=OFTEN)
    try:
        async with PatientClient(service.target) as client:
            reader, _, posts = await reader_and_posts(client, unique)
            assert _wrong(await _metrics(service.metrics_url)) == 0
            assert await cache.lrem(keys.home(reader).decode(), 0, str(posts[1])) == 1
            async with asyncio.timeout(WITHIN_S):
                while not _wrong(await _metrics(service.metrics_url)):
                    await client.acting_as(reader).home_page(timeout_s=CALL_S)
                    await asyncio.sleep(0.2)
            assert (await client.rebuild_home(reader, timeout_s=60.0)).stored
    finally:
        await asyncio.to_thread(service.node.stop)


async def _metrics(url: str) -> list[str]:
    def read() -> list[str]:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  (a local address of this installation)
            text: str = reply.read().decode()
        return text.splitlines()

    return await asyncio.to_thread(read)


def _wrong(lines: list[str]) -> float:
    """Claimed differences of all kinds."""
    values = [line for line in lines if line.startswith("rookery_home_mismatches_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in values)
