"""L17 of docs/protocols/links.md: settled means every known replica has it."""

from __future__ import annotations

import asyncio
import time

from tests.integration.valkey.clusters import Cluster, adopted, tags_on
from tests.support.waiting import until


async def test_settled_once_the_replica_has_it(six: Cluster) -> None:
    cache = six.cache()
    links = await adopted(cache)
    node = sorted(links)[0]
    tags = tags_on(cache, node, 300)

    # More than one group, and all of them proven at once.
    async def all_proven() -> bool:
        return all(await asyncio.gather(*(cache.mark_deleted(tag) for tag in tags)))

    await until(all_proven)
    replica = six.replica_of(node)
    # Read there, without asking the primary: the markers are on the replica's side already.
    assert six.ask(replica, "DBSIZE") == 301, "and what says whose keys these are"
    assert await cache.stub_relations(tags[0], 7)

    # A replica that sleeps confirms nothing, and nobody waits for it long.
    replica.stop_signal()
    try:
        started = time.monotonic()
        settled, other = await asyncio.gather(cache.mark_deleted(tags[0]), cache.get_bodies(tags))
        assert settled is False
        assert len(other) == 300
        assert time.monotonic() - started < 10.0  # and not until it wakes up
        # The overwrite itself is there, and reads were not held up by the wait.
        assert await cache.stub_relations(tags[1], 7) is False
        assert (await cache.read_home(tags[1], 0, 1)).relations.version == 7
    finally:
        replica.cont()
    assert await until(lambda: cache.mark_deleted(tags[0]), "the replica catching up")


async def test_a_stopped_primary_settles_nothing_and_raises_nothing(three: Cluster) -> None:
    cache = three.cache(timeout_s=0.5, connect_timeout_s=0.5)
    node = sorted(await adopted(cache))[0]
    here, elsewhere = tags_on(cache, node, 2), tags_on(cache, sorted(await cache.open_links())[1], 1)
    primary = three.primary(node)
    primary.stop_signal()
    try:
        answers = await asyncio.gather(
            cache.mark_deleted(here[0]), cache.stub_relations(here[1], 3), cache.mark_deleted(elsewhere[0])
        )
        assert list(answers) == [False, False, True]
    finally:
        primary.cont()
    assert await until(lambda: cache.mark_deleted(here[0]), "the primary answering again")
