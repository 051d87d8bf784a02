"""Bodies: filled where there is nothing, overwritten whatever there is.  removal.md R5, R6."""

from __future__ import annotations

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, Delivered
from rookery_server.domain import limits
from tests.conformance.cache.subjects import ManualClock, Subject, ended, relinked

TWEET, OTHER = 11, 12


@pytest.fixture
async def cache(cache: Cache) -> Cache:
    """With links: a fill goes over those that were up when the read began."""
    await cache.open_links()
    return cache


async def test_missing_bodies_are_absent_from_the_answer(cache: Cache) -> None:
    assert await cache.get_bodies([]) == {}
    assert await cache.get_bodies([TWEET, OTHER]) == {}


async def test_bodies_come_back_as_they_were_filled(subject: Subject, cache: Cache) -> None:
    bodies = {tweet_id: bytes([tweet_id % 256, 0, 13, 10]) * (tweet_id % 50 + 1) for tweet_id in range(1, 700)}
    assert {subject.node_of(tweet_id) for tweet_id in bodies} == cache.nodes()
    await cache.fill_bodies(bodies, cache.fill_mark())
    assert await subject.process().get_bodies([*bodies, 5_000]) == bodies


async def test_bodies_live_a_day_and_deleted_ones_two_hours(subject: Subject, cache: Cache) -> None:
    await cache.fill_bodies({TWEET: b"body", OTHER: b""}, cache.fill_mark())
    assert subject.left_s(keys.body(TWEET)) == pytest.approx(limits.BODY_LIFE_S, rel=keys.LIFE_JITTER + 0.01)
    for deleted in (OTHER, TWEET):
        left = subject.left_s(keys.body(deleted))
        assert left is not None
        # Never shorter: the marker must outlive every fill under way.
        assert limits.DELETED_LIFE_S - 60 <= left <= limits.DELETED_LIFE_S * (1 + keys.LIFE_JITTER) + 1
        assert await cache.mark_deleted(TWEET)


async def test_a_fill_overwrites_nothing(cache: Cache) -> None:
    await cache.fill_bodies({TWEET: b"first"}, cache.fill_mark())
    await cache.fill_bodies({TWEET: b"second", OTHER: b"other"}, cache.fill_mark())
    assert await cache.get_bodies([TWEET, OTHER]) == {TWEET: b"first", OTHER: b"other"}


async def test_deleted_stays_deleted(subject: Subject, cache: Cache) -> None:
    await cache.fill_bodies({TWEET: b"body"}, cache.fill_mark())
    assert await cache.mark_deleted(TWEET)
    assert await cache.mark_deleted(OTHER)
    await cache.fill_bodies({TWEET: b"body", OTHER: b"body"}, cache.fill_mark())
    assert await subject.process().get_bodies([TWEET, OTHER]) == {TWEET: b"", OTHER: b""}


async def test_a_worker_overwrites_too(cache: Cache) -> None:
    links = await cache.open_links()
    await cache.fill_bodies({TWEET: b"body"}, cache.fill_mark())
    for _ in range(2):
        assert await cache.overwrite_deleted(TWEET, links) == Delivered(inserted=1)
    assert await cache.get_bodies([TWEET]) == {TWEET: b""}


async def test_a_worker_overwrites_over_its_own_links_only(subject: Subject, cache: Cache) -> None:
    links = await cache.open_links()
    mine = links.pop(subject.node_of(TWEET))
    await cache.fill_bodies({TWEET: b"body"}, cache.fill_mark())
    assert await cache.overwrite_deleted(TWEET, links) == Delivered(behind=frozenset({mine.node}))
    subject.drop_connections(mine.node)
    await ended(cache, mine)
    await relinked(cache, mine)
    assert await cache.overwrite_deleted(TWEET, {mine.node: mine}) == Delivered(behind=frozenset({mine.node}))
    assert await cache.get_bodies([TWEET]) == {TWEET: b"body"}


async def test_a_removal_needs_no_link_of_before(subject: Subject) -> None:
    fresh = subject.process()
    assert await fresh.mark_deleted(TWEET)
    assert await fresh.stub_relations(OTHER, 3)
    assert await fresh.get_bodies([TWEET]) == {TWEET: b""}


async def test_data_read_too_long_ago_is_not_filled_in(cache: Cache, clock: ManualClock) -> None:
    mark = cache.fill_mark()
    clock.advance(limits.FILL_MAX_AGE_S)
    await cache.fill_bodies({TWEET: b"in time"}, mark)
    clock.advance(0.001)
    await cache.fill_bodies({OTHER: b"late"}, mark)
    assert await cache.get_bodies([TWEET, OTHER]) == {TWEET: b"in time"}


async def test_a_fill_goes_only_over_the_links_of_its_mark(subject: Subject, cache: Cache) -> None:
    before = cache.fill_mark()
    link = before.links[subject.node_of(TWEET)]
    subject.drop_connections(link.node)
    await ended(cache, link)
    broken = cache.fill_mark()
    assert link.node not in broken.links
    await cache.fill_bodies({TWEET: b"over a link that ended"}, before)
    await relinked(cache, link)
    await cache.fill_bodies({TWEET: b"over another link"}, before)
    await cache.fill_bodies({TWEET: b"over no link"}, broken)
    assert await cache.get_bodies([TWEET]) == {}
    await cache.fill_bodies({TWEET: b"fresh"}, cache.fill_mark())
    assert await cache.get_bodies([TWEET]) == {TWEET: b"fresh"}


async def test_a_mark_names_the_links_of_now(cache: Cache, clock: ManualClock) -> None:
    mark = cache.fill_mark()
    assert mark.links == await cache.open_links()
    assert mark.started == clock.monotonic()


async def test_a_mark_of_a_process_without_links_fills_nothing(subject: Subject, cache: Cache) -> None:
    fresh = subject.process()
    mark = fresh.fill_mark()
    assert dict(mark.links) == {}
    await fresh.fill_bodies({TWEET: b"body"}, mark)
    assert await cache.get_bodies([TWEET]) == {}


async def test_a_body_that_ran_out_is_missing(subject: Subject, cache: Cache) -> None:
    await cache.fill_bodies({TWEET: b"body"}, cache.fill_mark())
    subject.shorten(keys.body(TWEET), 0)
    assert await cache.get_bodies([TWEET]) == {}


async def test_removal_R6_nothing_is_proven_on_a_node_that_is_not_known(subject: Subject, clock: ManualClock) -> None:
    """Whoever adopts it empties it, and then a body read before the removal could be filled in."""
    cache, tweet = subject.process(), clock.tweet(age_ms=10_000)
    subject.forget()
    assert not await cache.mark_deleted(tweet)
    assert not await cache.stub_relations(tweet, 5)
    assert not await cache.stub_profile(tweet, 5)
    link = (await cache.open_links())[subject.node_of(tweet)]
    assert await cache.adopt_empty(link, 10)
    assert await cache.get_bodies([tweet]) == {}
    assert await cache.mark_deleted(tweet)
    assert await cache.get_bodies([tweet]) == {tweet: b""}
