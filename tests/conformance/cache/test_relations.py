"""Relations: loaded over what was seen, overwritten by stubs that take the home list along.  removal.md R1-R3,
links.md L18."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, Delivered, Link, RelationsRead
from rookery_server.domain import limits
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.models import Relations
from tests.conformance.cache.lists import TOKEN, begun_home, build_home
from tests.conformance.cache.subjects import ManualClock, Subject, ended, relinked

USER = 42
LOADED = Relations(
    version=7,
    unfollowed=frozenset({3, (1 << 62) + 1}),
    blocked=frozenset({4}),
    muted={5: 0, 6: 1_900_000_000_000},
    pull=frozenset({8}),
    blocked_by=frozenset({9, 1 << 62}),
)


async def relations(cache: Cache, user_id: int = USER) -> RelationsRead:
    return (await cache.read_home(user_id, 0, 1)).relations


async def absent(cache: Cache) -> RelationsRead:
    """What a loader hands back that saw nothing."""
    return RelationsRead((await relations(cache)).link, None, 0, None)


@pytest.fixture
async def links(cache: Cache) -> dict[str, Link]:
    return await cache.open_links()


# --- compare and set --------------------------------------------------------------------------------------------------


async def test_relations_are_stored_over_absence(subject: Subject, cache: Cache) -> None:
    assert await cache.store_relations(USER, await absent(cache), LOADED)
    read = await relations(subject.process())
    assert (read.version, read.relations) == (7, LOADED)
    assert read.seen is not None
    assert subject.left_s(keys.relations(USER)) == pytest.approx(limits.RELATIONS_LIFE_S, abs=60)


async def test_relations_are_stored_over_the_stub_that_was_seen(cache: Cache) -> None:
    assert await cache.stub_relations(USER, 9)
    read = await relations(cache)
    assert (read.version, read.relations) == (9, None)
    assert await cache.store_relations(USER, read, Relations(9))
    assert (await relations(cache)).relations == Relations(9)


async def test_relations_are_stored_over_nothing_else(cache: Cache) -> None:
    assert await cache.store_relations(USER, await absent(cache), LOADED)
    assert not await cache.store_relations(USER, await absent(cache), Relations(8))
    loaded = await relations(cache)
    await cache.stub_relations(USER, 20)
    assert not await cache.store_relations(USER, await absent(cache), Relations(20))
    assert not await cache.store_relations(USER, loaded, Relations(20))
    first = await relations(cache)
    await cache.stub_relations(USER, 30)
    assert not await cache.store_relations(USER, first, Relations(20))
    read = await relations(cache)
    assert (read.version, read.relations) == (30, None)


async def test_a_value_that_ran_out_is_not_what_was_seen(subject: Subject, cache: Cache) -> None:
    await cache.stub_relations(USER, 9)
    seen = await relations(cache)
    subject.shorten(keys.relations(USER), 0)
    assert (await relations(cache)).seen is None
    assert not await cache.store_relations(USER, seen, Relations(9))
    assert await cache.store_relations(USER, await absent(cache), Relations(9))


async def test_removal_R2_relations_are_stored_over_the_link_they_were_read_on(subject: Subject, cache: Cache) -> None:
    """A node that came back empty meanwhile says no more of what happened than the absence that was seen."""
    nothing = await relations(cache)
    subject.drop_connections(nothing.link.node)
    await ended(cache, nothing.link)
    with pytest.raises(CacheUnavailable):
        await cache.store_relations(USER, nothing, LOADED)
    await relinked(cache, nothing.link)
    with pytest.raises(CacheUnavailable):
        await cache.store_relations(USER, nothing, LOADED)
    assert (await relations(cache)).seen is None
    assert await cache.store_relations(USER, await relations(cache), LOADED)


async def test_of_two_loaders_at_once_one_stores(subject: Subject, cache: Cache) -> None:
    other = subject.process()
    for user_id in range(500, 520):
        done = await asyncio.gather(
            cache.store_relations(user_id, await relations(cache, user_id), Relations(1)),
            other.store_relations(user_id, await relations(other, user_id), Relations(2)),
        )
        assert sorted(done) == [False, True]
        assert (await relations(cache, user_id)).version == (1 if done[0] else 2)


async def test_relations_of_nobody_and_of_thousands(cache: Cache) -> None:
    many = Relations(1, frozenset(range(1, 5_000)))
    assert await cache.store_relations(USER, await absent(cache), Relations(0))
    assert (await relations(cache)).relations == Relations(0)
    assert await cache.store_relations(USER, await relations(cache), many)
    assert (await relations(cache)).relations == many


async def test_who_blocks_the_viewer_may_be_too_many_to_carry(cache: Cache) -> None:
    """Which is not the same as nobody."""
    assert await cache.store_relations(USER, await absent(cache), Relations(1, blocked_by=None))
    assert (await relations(cache)).relations == Relations(1, blocked_by=None)


@pytest.mark.parametrize(
    "changed",
    [
        Relations(7, muted={5: 1}),
        Relations(7, muted={6: 0}),
        Relations(7, blocked_by=frozenset({5})),
        Relations(7, blocked_by=None),
        Relations(7, pull=frozenset({5})),
    ],
)
async def test_what_was_seen_is_seen_exactly(cache: Cache, changed: Relations) -> None:
    """Values of one version that differ are different values: whoever saw one may not write over the other."""
    assert await cache.store_relations(USER, await absent(cache), Relations(7, muted={5: 0}))
    first = await relations(cache)
    assert await cache.store_relations(USER, first, changed)
    assert not await cache.store_relations(USER, first, LOADED)
    assert (await relations(cache)).relations == changed


# --- stubs ------------------------------------------------------------------------------------------------------------


async def test_a_stub_takes_the_home_list_along(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True, version=7)
    await cache.store_relations(USER, await absent(cache), LOADED)
    assert await cache.stub_relations(USER, 9)
    read = await cache.read_home(USER, 0, 1)
    assert (read.exists, read.built_under, read.relations.relations) == (False, None, None)
    assert subject.left_s(keys.home(USER)) is None
    assert subject.left_s(keys.home_meta(USER)) is None


async def test_a_stub_takes_the_token_of_a_build_along(cache: Cache) -> None:
    link = await begun_home(cache, USER)
    assert await cache.stub_relations(USER, 9)
    assert not await cache.finish_home(USER, TOKEN, [], True, 1, link, 0)
    assert not (await cache.read_home(USER, 0, 1)).exists


@pytest.mark.parametrize("worker", [True, False])
async def test_versions_only_rise(cache: Cache, links: dict[str, Link], worker: bool) -> None:
    async def stub(version: int) -> None:
        if worker:
            await cache.overwrite_relations(USER, version, links)
        else:
            assert await cache.stub_relations(USER, version)

    high = (1 << 62) + 5
    expected = 0
    for version in (5, 3, 4, 50, 10, high, 1):
        await stub(version)
        expected = max(expected + 1, version)
        assert (await relations(cache)).version == expected
    assert expected == high + 1


async def test_stubs_rise_over_loaded_relations_too(cache: Cache, links: dict[str, Link]) -> None:
    await cache.store_relations(USER, await absent(cache), Relations(100))
    assert await cache.overwrite_relations(USER, 5, links) == Delivered(inserted=1)
    read = await relations(cache)
    assert (read.version, read.relations) == (101, None)


async def test_a_server_stubs_whatever_was_stubbed_before(cache: Cache, clock: ManualClock) -> None:
    assert await cache.stub_relations(USER, 9)
    await build_home(cache, USER, [clock.tweet()], whole=True)
    assert await cache.stub_relations(USER, 9)
    assert not (await cache.read_home(USER, 0, 1)).exists
    assert (await relations(cache)).version == 10


async def test_relations_live_as_long_as_they_are_told_to(
    subject: Subject, cache: Cache, links: dict[str, Link]
) -> None:
    """What decides for how long a tier change is announced."""
    assert await cache.store_relations(USER, await absent(cache), LOADED)
    assert subject.left_s(keys.relations(USER)) == pytest.approx(limits.RELATIONS_LIFE_S, abs=60)
    short = subject.process(relations_life_s=100.5)
    for version in (20, 30):
        assert await short.store_relations(USER, await relations(short), LOADED)
        assert subject.left_s(keys.relations(USER)) == pytest.approx(100, abs=20)
        assert await cache.stub_relations(USER, version)
        assert subject.left_s(keys.relations(USER)) == pytest.approx(limits.RELATIONS_LIFE_S, abs=60)
        assert await short.stub_relations(USER, version)
        assert subject.left_s(keys.relations(USER)) == pytest.approx(100, abs=20)
    subject.shorten(keys.relations(USER), 0)
    assert await short.store_relations(USER, await absent(short), LOADED)
    assert subject.left_s(keys.relations(USER)) == pytest.approx(100, abs=20)


# --- applying again ---------------------------------------------------------------------------------------------------


async def test_applying_again_drops_no_list_built_since(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    assert await cache.overwrite_relations(USER, 9, links, 9) == Delivered(inserted=1)
    await build_home(cache, USER, [clock.tweet()], whole=True, version=9)
    assert await cache.overwrite_relations(USER, 9, links, 9) == Delivered(duplicate=1)
    assert (await cache.read_home(USER, 0, 1)).exists
    assert (await relations(cache)).version == 9


async def test_what_the_server_stubbed_the_worker_need_not(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    await cache.stub_relations(USER, 9, 9)
    await build_home(cache, USER, [clock.tweet()], whole=True)
    assert await cache.overwrite_relations(USER, 9, links, 9) == Delivered(duplicate=1)
    assert (await cache.read_home(USER, 0, 1)).exists


async def test_a_higher_version_alone_proves_nothing(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    """An edge may commit after a later one: its own stub must still drop the list."""
    assert await cache.overwrite_relations(USER, 90, links, 90) == Delivered(inserted=1)
    await build_home(cache, USER, [clock.tweet()], whole=True)
    assert await cache.overwrite_relations(USER, 9, links, 9) == Delivered(inserted=1)
    read = await cache.read_home(USER, 0, 1)
    assert (read.exists, read.relations.version) == (False, 91)


async def test_two_changes_of_one_version_are_two(
    subject: Subject, cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    """Two servers minted in the same millisecond; the second one ended before its stub."""
    first, second = (1 << 62) + 8, (1 << 62) + 9
    assert await subject.process().stub_relations(USER, 9, first)
    await build_home(cache, USER, [clock.tweet()], whole=True, version=9)
    assert await cache.overwrite_relations(USER, 9, links, first) == Delivered(duplicate=1)
    assert await cache.overwrite_relations(USER, 9, links, second) == Delivered(inserted=1)
    assert not (await cache.read_home(USER, 0, 1)).exists
    await build_home(cache, USER, [clock.tweet()], whole=True, version=9)
    for change in (first, second):
        assert await cache.overwrite_relations(USER, 9, links, change) == Delivered(duplicate=1)
    assert (await cache.read_home(USER, 0, 1)).exists


async def test_what_is_of_no_change_is_overwritten_in_any_case_and_not_remembered(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    assert await cache.stub_relations(USER, 8, 1)
    for version in range(20, 30):
        await build_home(cache, USER, [clock.tweet()], whole=True, version=9)
        assert await cache.overwrite_relations(USER, version, links) == Delivered(inserted=1)
        assert not (await cache.read_home(USER, 0, 1)).exists
        assert await cache.stub_relations(USER, version)
    assert await cache.overwrite_relations(USER, 9, links, 1) == Delivered(duplicate=1)


async def test_eight_changes_are_remembered_through_loads(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    for version in range(1, 10):
        await cache.overwrite_relations(USER, version, links, version)
        seen = await relations(cache)
        assert await cache.store_relations(USER, seen, Relations(version, frozenset({version})))
    await build_home(cache, USER, [clock.tweet()], whole=True)
    for version in range(2, 10):
        assert await cache.overwrite_relations(USER, version, links, version) == Delivered(duplicate=1)
    assert (await cache.read_home(USER, 0, 1)).exists
    assert await cache.overwrite_relations(USER, 1, links, 1) == Delivered(inserted=1)
    assert not (await cache.read_home(USER, 0, 1)).exists


async def test_a_node_that_lost_everything_is_stubbed_again(
    subject: Subject, cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    await cache.overwrite_relations(USER, 9, links, 9)
    subject.shorten(keys.relations(USER), 0)
    await build_home(cache, USER, [clock.tweet()], whole=True)
    assert await cache.overwrite_relations(USER, 9, links, 9) == Delivered(inserted=1)
    assert not (await cache.read_home(USER, 0, 1)).exists


async def test_relations_are_read_alone_as_with_the_list(subject: Subject, cache: Cache) -> None:
    assert await cache.read_relations(USER) == await absent(cache)
    await cache.stub_relations(USER, 9)
    assert await cache.read_relations(USER) == await relations(cache)
    await cache.store_relations(USER, await cache.read_relations(USER), LOADED)
    other = subject.process()
    assert await other.read_relations(USER) == await relations(other)
    assert (await relations(other)).relations == LOADED
