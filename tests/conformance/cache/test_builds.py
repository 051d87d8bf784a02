"""Home and author lists: how they are read, and how builds store them.  docs/protocols/build.md, links.md L13-L15."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, LoadedList
from rookery_server.domain import limits
from tests.conformance.cache.lists import (
    TOKEN,
    begin_author,
    begun_home,
    build_author,
    build_home,
    finish_author,
    home,
    posts,
)
from tests.conformance.cache.subjects import ManualClock, Subject, ended, relinked

USER, AUTHOR = 42, 43


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_an_absent_list_is_missing_and_never_empty(cache: Cache) -> None:
    read = await cache.read_home(USER, 0, 10)
    assert (read.exists, read.ids, read.reached_end, read.whole, read.built_under) == (False, (), False, False, None)
    assert (read.relations.seen, read.relations.version, read.relations.relations) == (None, 0, None)
    author = (await cache.read_authors([AUTHOR], 10))[AUTHOR]
    assert (author.exists, author.ids, author.reached_end, author.whole) == (False, (), False, False)


async def test_no_posts_at_all_can_be_cached(cache: Cache) -> None:
    await build_home(cache, USER, [], whole=True, version=9)
    await build_author(cache, AUTHOR, [], whole=True)
    read = await cache.read_home(USER, 0, 10)
    assert (read.exists, read.ids, read.reached_end, read.whole, read.built_under) == (True, (), True, True, 9)
    author = (await cache.read_authors([AUTHOR], 10))[AUTHOR]
    assert (author.exists, author.ids, author.reached_end, author.whole) == (True, (), True, True)


@pytest.mark.parametrize("whole", [True, False])
async def test_slices_of_a_home_list(cache: Cache, clock: ManualClock, whole: bool) -> None:
    newest_first = [clock.tweet(age_ms) for age_ms in range(10)]
    await build_home(cache, USER, newest_first, whole=whole)
    positions = len(newest_first) + whole  # the end mark has a position of its own
    for start in range(13):
        for count in (1, 3, 10, 11, 12):
            read = await cache.read_home(USER, start, count)
            assert read.ids == tuple(newest_first[start : start + count])
            assert read.reached_end == (start + count >= positions)
            assert (read.exists, read.whole) == (True, whole)


@pytest.mark.parametrize("whole", [True, False])
async def test_slices_of_an_author_list(cache: Cache, clock: ManualClock, whole: bool) -> None:
    newest_first = [clock.tweet(age_ms) for age_ms in range(5)]
    await build_author(cache, AUTHOR, newest_first, whole=whole)
    positions = len(newest_first) + whole
    for depth in range(1, 8):
        read = (await cache.read_authors([AUTHOR], depth))[AUTHOR]
        assert read.ids == tuple(newest_first[:depth])
        assert read.reached_end == (depth >= positions)
        # Only what was seen is said: the mark lies behind the last id.
        assert read.whole == (whole and depth >= positions)


async def test_many_authors_in_one_read(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    there = range(1_000, 1_030)
    for author_id in there:
        await build_author(cache, author_id, [clock.tweet(author_id)], whole=True)
    assert {subject.node_of(author_id) for author_id in there} == set(await cache.open_links())
    read = await cache.read_authors([*there, 2_000, 2_001], 8)
    assert set(read) == {*there, 2_000, 2_001}
    assert all(read[author_id].ids == (clock.tweet(author_id),) for author_id in there)
    assert not read[2_000].exists
    assert await cache.read_authors([], 8) == {}


async def test_a_list_is_read_over_the_link_it_names(cache: Cache) -> None:
    await build_home(cache, USER, [], whole=True)
    read = await cache.read_home(USER, 0, 10)
    assert cache.is_current(read.link)
    assert (await cache.open_links())[read.link.node] == read.link
    found = (await cache.read_authors([AUTHOR], 10))[AUTHOR]
    assert cache.is_current(found.link)


async def test_other_processes_see_the_same(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True, version=5)
    read = await subject.process().read_home(USER, 0, 10)
    assert (read.ids, read.whole, read.built_under) == ((clock.tweet(),), True, 5)


# --- lives ------------------------------------------------------------------------------------------------------------


async def test_lists_live_a_week(subject: Subject, cache: Cache) -> None:
    await build_home(cache, USER, [], whole=True)
    await build_author(cache, AUTHOR, [], whole=True)
    for key in (keys.home(USER), keys.home_meta(USER)):
        assert subject.left_s(key) == pytest.approx(limits.LIST_LIFE_S, abs=60)
    assert subject.left_s(keys.author(AUTHOR)) == pytest.approx(limits.LIST_LIFE_S, rel=keys.LIFE_JITTER + 0.01)


async def test_a_read_refreshes_a_life_older_than_a_day(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [], whole=True)
    day_old = limits.LIST_LIFE_S - limits.LIST_REFRESH_S
    lives = (keys.home(USER), keys.home_meta(USER))
    for key in lives:
        subject.shorten(key, day_old + 100)
    await cache.read_home(USER, 0, 1)
    await cache.read_home(USER, 0, 1)  # whatever the first one set off has happened when this is answered
    assert [subject.left_s(key) for key in lives] == pytest.approx([day_old + 100] * 2, abs=60)
    for key in lives:
        subject.shorten(key, day_old - 100)
    await cache.read_home(USER, 0, 1)
    await cache.read_home(USER, 0, 1)
    assert [subject.left_s(key) for key in lives] == pytest.approx([limits.LIST_LIFE_S] * 2, abs=60)


async def test_a_token_lives_a_minute_whatever_is_read_or_pushed(
    subject: Subject, cache: Cache, clock: ManualClock
) -> None:
    await begun_home(cache, USER)
    assert subject.left_s(keys.home(USER)) == pytest.approx(limits.BUILD_TOKEN_LIFE_S, abs=5)
    subject.shorten(keys.home(USER), 30)
    await cache.deliver(clock.tweet(), [USER], await cache.open_links(), True)
    await cache.read_home(USER, 0, 10)
    await cache.read_home(USER, 0, 10)
    assert subject.left_s(keys.home(USER)) == pytest.approx(30, abs=5)
    assert await begin_author(cache, AUTHOR, TOKEN) is not None
    assert subject.left_s(keys.author(AUTHOR)) == pytest.approx(limits.BUILD_TOKEN_LIFE_S, abs=5)


# --- building ---------------------------------------------------------------------------------------------------------


async def test_a_list_under_build_is_missing(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True)
    await begun_home(cache, USER)
    assert subject.left_s(keys.home_meta(USER)) is None
    await cache.deliver(clock.tweet(), [USER], await cache.open_links(), False)
    read = await cache.read_home(USER, 0, 10)
    assert (read.exists, read.ids, read.whole, read.built_under) == (False, (), False, None)
    await build_author(cache, AUTHOR, [clock.tweet()], whole=True)
    assert await begin_author(cache, AUTHOR, TOKEN) is not None
    await cache.place_author(AUTHOR, clock.tweet(), await cache.open_links())
    for depth in (1, 2, 10):
        assert not (await cache.read_authors([AUTHOR], depth))[AUTHOR].exists


async def test_another_builders_token_is_respected(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    mine, other = await begun_home(cache, USER), subject.process()
    theirs = (await other.open_links())[mine.node]
    assert await other.begin_home(USER, TOKEN - 1) is None
    assert not await other.finish_home(USER, TOKEN - 1, [], True, 9, theirs, 0)
    assert await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 3, mine, 0)
    read = await other.read_home(USER, 0, 10)
    assert (read.ids, read.built_under) == ((clock.tweet(),), 3)


async def test_another_builders_token_is_respected_in_author_lists(subject: Subject, cache: Cache) -> None:
    mine, other = await begin_author(cache, AUTHOR, TOKEN), subject.process()
    assert mine is not None
    theirs = (await other.open_links())[mine.node]
    assert await begin_author(other, AUTHOR, TOKEN - 1) is None
    assert not await finish_author(other, AUTHOR, TOKEN - 1, [], True, theirs)
    assert await finish_author(cache, AUTHOR, TOKEN, [], True, mine)
    assert await posts(other, AUTHOR) == []


async def test_many_author_lists_begin_and_finish_together(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    authors = range(1_000, 1_030)
    other = subject.process()
    assert await begin_author(other, authors[3], TOKEN - 1) is not None
    await build_author(cache, authors[4], [clock.tweet(70_000)], whole=True)
    links = await cache.begin_authors(authors, TOKEN)
    assert set(links) == set(authors) - {authors[3]}
    assert {links[author].node for author in links} == set(await cache.open_links())
    assert all(links[author].node == subject.node_of(author) and cache.is_current(links[author]) for author in links)
    assert not any(read.exists for read in (await cache.read_authors(authors, 10)).values())
    await cache.place_author(authors[5], clock.tweet(), await cache.open_links())
    old = {author: (clock.tweet(author), clock.tweet(author + 60_000)) for author in authors}
    # Of one it is not known what there is, and of one the token is another's.
    lists = [LoadedList(author, () if author == authors[6] else old[author], False, links[author]) for author in links]
    theirs = (await cache.open_links())[subject.node_of(authors[3])]
    lists.append(LoadedList(authors[3], old[authors[3]], True, theirs))
    assert await cache.finish_authors(lists, TOKEN) == set(authors) - {authors[3], authors[6]}
    read = await cache.read_authors(authors, 10)
    assert {author for author in authors if not read[author].exists} == {authors[3], authors[6]}
    assert read[authors[5]].ids == (clock.tweet(), *old[authors[5]])
    assert all(read[author].ids == old[author] for author in set(authors) - {authors[3], authors[5], authors[6]})
    assert await cache.begin_authors([authors[3], authors[6]], TOKEN - 2) == {authors[6]: links[authors[6]]}
    assert await cache.finish_authors(lists, TOKEN) == frozenset()
    assert (await cache.begin_authors([], TOKEN), await cache.finish_authors([], TOKEN)) == ({}, frozenset())


async def test_author_lists_of_a_node_whose_link_ended_are_not_stored(
    subject: Subject, cache: Cache, clock: ManualClock
) -> None:
    authors = range(1_000, 1_030)
    links = await cache.begin_authors(authors, TOKEN)
    broken = links[authors[0]]
    subject.drop_connections(broken.node)
    await ended(cache, broken)
    lists = [LoadedList(author, (clock.tweet(author),), True, links[author]) for author in authors]
    assert await cache.finish_authors(lists, TOKEN) == {author for author in authors if links[author] != broken}
    await relinked(cache, broken)
    read = await cache.read_authors(authors, 10)
    assert {author for author in authors if not read[author].exists} == {
        author for author in authors if links[author] == broken
    }


async def test_of_two_builders_at_once_one_begins(subject: Subject, cache: Cache) -> None:
    other = subject.process()
    for user_id in range(500, 530):
        begun = await asyncio.gather(cache.begin_home(user_id, -1), other.begin_home(user_id, -2))
        assert [link is None for link in begun].count(True) == 1


async def test_a_token_that_ran_out_stores_nothing(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    link = await begun_home(cache, USER)
    subject.shorten(keys.home(USER), 0)
    assert not await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert not (await cache.read_home(USER, 0, 10)).exists
    # Another builder may begin, and the first is still too late.
    again = await begun_home(cache, USER, TOKEN - 1)
    assert not await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert await cache.finish_home(USER, TOKEN - 1, [], True, 2, again, 0)
    assert not await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert await home(cache, USER) == []


async def test_a_build_finishes_once(cache: Cache, clock: ManualClock) -> None:
    link = await begun_home(cache, USER)
    assert await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert not await cache.finish_home(USER, TOKEN, [], True, 2, link, 0)
    assert await home(cache, USER) == [clock.tweet()]


async def test_a_build_cannot_finish_over_another_link(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    link = await begun_home(cache, USER)
    author = await begin_author(cache, AUTHOR, TOKEN)
    assert author is not None
    for broken in {link, author}:
        subject.drop_connections(broken.node)
        await ended(cache, broken)
    assert not await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert not await finish_author(cache, AUTHOR, TOKEN, [clock.tweet()], True, author)
    await relinked(cache, link)
    assert not await cache.finish_home(USER, TOKEN, [clock.tweet()], True, 1, link, 0)
    assert not (await cache.read_home(USER, 0, 10)).exists


async def test_what_is_pushed_during_a_build_is_in_it_once(cache: Cache, clock: ManualClock) -> None:
    old = [clock.tweet(age_ms) for age_ms in (3_000, 4_000, 5_000)]
    link, links = await begun_home(cache, USER), await cache.open_links()
    new, late = clock.tweet(), clock.tweet(4_500)
    for tweet_id, in_place in ((new, False), (old[1], True), (late, True), (new, False)):
        await cache.deliver(tweet_id, [USER], links, in_place)
    assert await cache.finish_home(USER, TOKEN, old, True, 1, link, 0)
    assert await home(cache, USER) == sorted({new, late, *old}, reverse=True)
    assert (await cache.read_home(USER, 0, 10)).whole


async def test_the_same_for_author_lists(cache: Cache, clock: ManualClock) -> None:
    old, new = [clock.tweet(5_000), clock.tweet(6_000)], clock.tweet()
    link = await begin_author(cache, AUTHOR, TOKEN)
    assert link is not None
    for tweet_id in (new, old[0], new):
        await cache.place_author(AUTHOR, tweet_id, await cache.open_links())
    assert await finish_author(cache, AUTHOR, TOKEN, old, False, link)
    assert await posts(cache, AUTHOR) == [new, *old]


async def test_what_was_pushed_below_the_floor_does_not_lower_it(cache: Cache, clock: ManualClock) -> None:
    top, last, ancient = clock.tweet(), clock.tweet(60_000), clock.tweet(3_600_000)
    link = await begun_home(cache, USER)
    await cache.deliver(ancient, [USER], await cache.open_links(), True)
    assert await cache.finish_home(USER, TOKEN, [top, last], False, 1, link, 0)
    assert await home(cache, USER) == [top, last]


async def test_a_list_that_could_claim_nothing_is_not_stored(cache: Cache, clock: ManualClock) -> None:
    link = await begun_home(cache, USER)
    await cache.deliver(clock.tweet(), [USER], await cache.open_links(), False)
    assert not await cache.finish_home(USER, TOKEN, [], False, 1, link, 0)
    assert not (await cache.read_home(USER, 0, 10)).exists
    # The token went with it: nobody has to wait for its end.
    assert await cache.begin_home(USER, TOKEN - 1) is not None


async def test_a_build_takes_the_list_of_before_away(cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True, version=1)
    await build_home(cache, USER, [clock.tweet(9)], whole=False, version=2)
    read = await cache.read_home(USER, 0, 10)
    assert (read.ids, read.whole, read.built_under) == ((clock.tweet(9),), False, 2)


async def test_a_list_says_when_its_build_began(cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True, version=3, built_ms=clock.now_ms() - 700)
    read = await cache.read_home(USER, 0, 1)
    assert (read.built_under, read.built_ms) == (3, clock.now_ms() - 700)
    await build_home(cache, USER, [clock.tweet()], whole=True, version=2, built_ms=clock.now_ms())
    assert (await cache.read_home(USER, 0, 1)).built_ms == clock.now_ms()


async def test_versions_survive_whole(cache: Cache) -> None:
    version = (1 << 62) + 1  # a float or a Lua number would round it
    await build_home(cache, USER, [], whole=True, version=version)
    assert (await cache.read_home(USER, 0, 1)).built_under == version


@pytest.mark.parametrize(("given", "marked"), [(0, True), (1, False), (5, False)])
async def test_a_build_keeps_the_newest_and_marks_the_end_only_if_all_fit(
    cache: Cache, clock: ManualClock, given: int, marked: bool
) -> None:
    newest_first = [clock.tweet(age_ms) for age_ms in range(limits.HOME_KEPT + given)]
    await build_home(cache, USER, newest_first, whole=True)
    assert await home(cache, USER) == newest_first[: limits.HOME_KEPT]
    assert (await cache.read_home(USER, 0, 1)).whole is marked
    own = newest_first[: limits.AUTHOR_KEPT + given]
    await build_author(cache, AUTHOR, own, whole=True)
    read = (await cache.read_authors([AUTHOR], 1_000))[AUTHOR]
    assert (list(read.ids), read.whole) == (own[: limits.AUTHOR_KEPT], marked)


async def test_a_double_does_not_cost_the_end_mark(cache: Cache, clock: ManualClock) -> None:
    """Exactly what a list keeps was gathered, and its oldest was pushed as well."""
    newest_first = [clock.tweet(age_ms) for age_ms in range(limits.AUTHOR_KEPT)]
    link = await begin_author(cache, AUTHOR, TOKEN)
    assert link is not None
    await cache.place_author(AUTHOR, newest_first[-1], await cache.open_links())
    assert await finish_author(cache, AUTHOR, TOKEN, newest_first, True, link)
    read = (await cache.read_authors([AUTHOR], 1_000))[AUTHOR]
    assert (list(read.ids), read.whole) == (newest_first, True)


async def test_a_push_beyond_what_is_kept_costs_the_end_mark(cache: Cache, clock: ManualClock) -> None:
    newest_first = [clock.tweet(age_ms) for age_ms in range(1, limits.HOME_KEPT + 1)]
    link = await begun_home(cache, USER)
    await cache.deliver(clock.tweet(), [USER], await cache.open_links(), False)
    assert await cache.finish_home(USER, TOKEN, newest_first, True, 1, link, 0)
    assert await home(cache, USER) == [clock.tweet(), *newest_first[:-1]]
    assert not (await cache.read_home(USER, 0, 1)).whole


async def test_everything_may_be_gone_at_any_time(subject: Subject, cache: Cache, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True)
    read = await cache.read_home(USER, 0, 1)
    subject.lose_everything(read.link.node)
    if not cache.is_current(read.link):
        await relinked(cache, read.link)
    assert not (await cache.read_home(USER, 0, 1)).exists
