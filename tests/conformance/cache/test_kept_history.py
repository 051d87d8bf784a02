"""A kept stretch of history stands and falls with the relations it was merged under.  links.md L18."""

from __future__ import annotations

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, HistoryRead, Link, RelationsRead
from rookery_server.domain import ids
from rookery_server.domain.models import Relations
from tests.conformance.cache.subjects import ManualClock, Subject

USER = 42


def history(clock: ManualClock, count: int = 3) -> HistoryRead:
    kept = tuple(clock.tweet(age_ms=at) for at in range(count))
    return HistoryRead(kept[0] + 1 if kept else ids.MAX_ID, kept[-1] if kept else 0, kept, 7, clock.now_ms() - 5_000)


async def seen(cache: Cache) -> RelationsRead:
    return await cache.read_relations(USER)


async def loaded(cache: Cache, version: int = 7) -> bytes:
    assert await cache.store_relations(USER, await seen(cache), Relations(version))
    raw = (await seen(cache)).seen
    assert raw is not None
    return raw


@pytest.mark.parametrize("count", [0, 1, 800])
async def test_history_is_read_as_it_was_kept(subject: Subject, cache: Cache, clock: ManualClock, count: int) -> None:
    assert await cache.read_history(USER) is None
    kept = history(clock, count)
    assert await cache.store_history(USER, await loaded(cache), kept)
    assert await subject.process().read_history(USER) == kept
    assert subject.left_s(keys.history(USER)) == pytest.approx(keys.HISTORY_LIFE_S, abs=60)


async def test_history_is_kept_over_an_older_stretch(cache: Cache, clock: ManualClock) -> None:
    raw = await loaded(cache)
    assert await cache.store_history(USER, raw, history(clock, 2))
    assert await cache.store_history(USER, raw, history(clock, 5))
    assert await cache.read_history(USER) == history(clock, 5)


async def test_history_of_other_relations_is_not_kept(cache: Cache, subject: Subject, clock: ManualClock) -> None:
    raw = await loaded(cache)
    assert await cache.store_relations(USER, await seen(cache), Relations(7, muted={5: 0}))
    assert not await cache.store_history(USER, raw, history(clock))
    subject.shorten(keys.relations(USER), 0)
    assert not await cache.store_history(USER, raw, history(clock))
    assert await cache.read_history(USER) is None


@pytest.mark.parametrize("worker", [True, False])
async def test_a_stub_takes_history_along(cache: Cache, clock: ManualClock, worker: bool) -> None:
    raw = await loaded(cache)
    assert await cache.store_history(USER, raw, history(clock))
    if worker:
        links: dict[str, Link] = await cache.open_links()
        await cache.overwrite_relations(USER, 9, links)
    else:
        assert await cache.stub_relations(USER, 9)
    assert await cache.read_history(USER) is None
    assert not await cache.store_history(USER, raw, history(clock))


async def test_history_runs_out(cache: Cache, subject: Subject, clock: ManualClock) -> None:
    assert await cache.store_history(USER, await loaded(cache), history(clock))
    subject.shorten(keys.history(USER), 0)
    assert await cache.read_history(USER) is None
