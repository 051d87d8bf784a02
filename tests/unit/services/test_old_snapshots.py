"""A claim read long ago: nodes may have changed hands since, and other servers built lists from what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rookery_server.cache import keys
from rookery_server.domain import ids
from tests.unit.services.test_on_memory import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


async def _apart(stage: Stage) -> tuple[int, int]:
    """A follower and an author whose lists are on different nodes."""
    author = await stage.user("author")
    at = 0
    while True:
        at += 1
        follower = await stage.user(f"follower{at}")
        if stage.caches.node_of(follower) is not stage.caches.node_of(author):
            return follower, author


@pytest.mark.parametrize("promoted_after_s", [3.0, 0.0])
async def test_claim_C12_a_snapshot_from_before_a_failover_claims_nothing_of_a_list_built_after(
    stage: Stage, promoted_after_s: float
) -> None:
    """A promotion takes at least the node timeout, unless an operator has a replica take over at once."""
    await stage.start()
    follower, author = await _apart(stage)
    await stage.follow(follower, author)
    await stage.one.page(author)
    await stage.one.page(follower)
    home = stage.caches.node_of(follower)
    node = stage.caches.node_of(author)
    await stage.pass_time(10)
    node.replicating = False
    tweet = await stage.post(author)
    home.run(lambda it: it.delete(keys.home(follower)))
    await stage.pass_time(10)
    claimed = (await stage.two.claims.snapshot()).claim_ms
    assert claimed > ids.time_ms(tweet)
    # Its primary is gone, and so is the worker.
    await stage.close()
    await stage.time.advance(promoted_after_s)
    node.fail_over()
    built = await stage.one.page(follower)
    assert built.info.complete_through_ms < ids.time_ms(tweet)
    page = await stage.two.page(follower)
    assert tweet in page.tweet_ids or page.info.complete_through_ms < ids.time_ms(tweet)
