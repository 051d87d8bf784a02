"""What workers push onto lists, and authors onto their own.  docs/protocols/delivery.md, links.md L16."""

from __future__ import annotations

import pytest

from rookery_server.cache.interface import Cache, Delivered, Link
from rookery_server.domain import limits
from tests.conformance.cache.lists import begun_home, build_author, build_home, home, posts
from tests.conformance.cache.subjects import ManualClock, Subject, ended, relinked

USER, OTHER, ABSENT, AUTHOR = 42, 44, 45, 43


@pytest.fixture
async def links(cache: Cache) -> dict[str, Link]:
    return await cache.open_links()


async def test_a_young_id_is_pushed_on_top(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    await build_home(cache, USER, [clock.tweet(1)], whole=True)
    # Plainly: nobody looks where it belongs, and a repeat stands twice.
    young = clock.tweet(limits.PLAIN_PUSH_MS - 1)
    for _ in range(2):
        assert await cache.deliver(young, [USER], links, False) == Delivered(pushed=1)
    assert await home(cache, USER) == [young, young, clock.tweet(1)]


async def test_an_id_two_seconds_old_is_placed(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    await build_home(cache, USER, [clock.tweet(1)], whole=True)
    old = clock.tweet(limits.PLAIN_PUSH_MS)
    assert await cache.deliver(old, [USER], links, False) == Delivered(inserted=1)
    assert await home(cache, USER) == [clock.tweet(1), old]
    assert await cache.deliver(old, [USER], links, False) == Delivered(duplicate=1)


async def test_its_age_is_that_of_now(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    tweet_id = clock.tweet()
    await build_home(cache, USER, [clock.tweet(60_000)], whole=False)
    clock.advance(2.5)
    assert await cache.deliver(tweet_id, [USER], links, False) == Delivered(inserted=1)


async def test_in_place_is_obeyed_however_young(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    await build_home(cache, USER, [clock.tweet(), clock.tweet(2)], whole=False)
    assert await cache.deliver(clock.tweet(1), [USER], links, True) == Delivered(inserted=1)
    assert await home(cache, USER) == [clock.tweet(), clock.tweet(1), clock.tweet(2)]


async def test_ids_of_one_millisecond_all_have_a_place(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    await build_home(cache, USER, [], whole=True)
    of_one = [clock.tweet(sequence=sequence) for sequence in range(5)]
    for tweet_id in (of_one[2], of_one[4], of_one[0], of_one[3], of_one[1]):
        assert (await cache.deliver(tweet_id, [USER], links, True)).inserted == 1
    assert await home(cache, USER) == of_one[::-1]


@pytest.mark.parametrize("in_place", [True, False])
async def test_only_lists_that_exist_grow(
    cache: Cache, clock: ManualClock, links: dict[str, Link], in_place: bool
) -> None:
    assert await cache.deliver(clock.tweet(), [ABSENT], links, in_place) == Delivered(inactive=1)
    assert not (await cache.read_home(ABSENT, 0, 10)).exists
    assert await cache.place_author(ABSENT, clock.tweet(), links) == Delivered(inactive=2)
    assert not (await cache.read_authors([ABSENT], 10))[ABSENT].exists


async def test_many_followers_on_every_node(
    subject: Subject, cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    followers = list(range(1_000, 1_700))
    there = followers[::5]
    for follower_id in there:
        await build_home(cache, follower_id, [], whole=True)
    assert {subject.node_of(follower_id) for follower_id in there} == set(links)
    inactive = len(followers) - len(there)
    delivered = await cache.deliver(clock.tweet(), followers, links, False)
    assert delivered == Delivered(pushed=len(there), inactive=inactive)
    delivered = await cache.deliver(clock.tweet(), followers, links, True)
    assert delivered == Delivered(duplicate=len(there), inactive=inactive)
    for follower_id in there:
        assert await home(cache, follower_id) == [clock.tweet()]
    assert await cache.deliver(clock.tweet(), [], links, False) == Delivered()


async def test_a_double_is_made_one(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    tweet_id = clock.tweet()
    await build_home(cache, USER, [clock.tweet(5)], whole=False)
    for _ in range(3):
        await cache.deliver(tweet_id, [USER], links, False)
    assert await cache.deliver(tweet_id, [USER], links, True) == Delivered(inserted=1)
    assert await home(cache, USER) == [tweet_id, clock.tweet(5)]


async def test_a_misplaced_copy_is_moved(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    newest, older, oldest = clock.tweet(), clock.tweet(1_000), clock.tweet(9_000)
    await build_home(cache, USER, [oldest], whole=True)
    for tweet_id in (newest, older):  # plainly, in the wrong order
        await cache.deliver(tweet_id, [USER], links, False)
    assert await home(cache, USER) == [older, newest, oldest]
    assert await cache.deliver(older, [USER], links, True) == Delivered(inserted=1)
    assert await home(cache, USER) == [newest, older, oldest]
    assert await cache.deliver(older, [USER], links, True) == Delivered(duplicate=1)
    assert (await cache.read_home(USER, 0, 10)).whole


async def test_an_id_goes_below_the_last_of_two_doubles(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    twice, between, placed = clock.tweet(), clock.tweet(1), clock.tweet(2)
    await build_home(cache, USER, [twice, clock.tweet(9)], whole=False)
    for tweet_id in (between, twice):
        await cache.deliver(tweet_id, [USER], links, False)
    assert await home(cache, USER) == [twice, between, twice, clock.tweet(9)]
    await cache.deliver(placed, [USER], links, True)
    assert await home(cache, USER) == [twice, between, twice, placed, clock.tweet(9)]


async def test_below_the_floor_nothing_is_let_in(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    kept = [clock.tweet(), clock.tweet(5_000)]
    await build_home(cache, USER, kept, whole=False)
    assert await cache.deliver(clock.tweet(5_001), [USER], links, True) == Delivered(inactive=1)
    assert await home(cache, USER) == kept
    # A list with the end mark has no floor, and keeps its mark.
    await build_home(cache, OTHER, kept, whole=True)
    assert await cache.deliver(clock.tweet(5_001), [OTHER], links, True) == Delivered(inserted=1)
    assert await home(cache, OTHER) == [*kept, clock.tweet(5_001)]
    assert (await cache.read_home(OTHER, 0, 10)).whole


async def test_a_list_of_nothing_but_copies_keeps_one(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=False)
    await cache.deliver(clock.tweet(), [USER], links, False)
    assert await cache.deliver(clock.tweet(), [USER], links, True) == Delivered(duplicate=1)
    assert await home(cache, USER) == [clock.tweet()]


@pytest.mark.parametrize("in_place", [True, False])
async def test_a_long_list_is_trimmed_and_loses_its_end_mark(
    cache: Cache, clock: ManualClock, links: dict[str, Link], in_place: bool
) -> None:
    clock.advance(3_600)
    built = [clock.tweet(20_000 + at) for at in range(limits.HOME_KEPT)]
    await build_home(cache, USER, built, whole=True)
    pushed: list[int] = []
    for sequence in range(limits.HOME_TRIM_AT - limits.HOME_KEPT - 1):  # the mark takes a place
        pushed.insert(0, clock.tweet(sequence=sequence))
        await cache.deliver(pushed[0], [USER], links, in_place)
    assert await home(cache, USER) == pushed + built
    assert (await cache.read_home(USER, 0, 1)).whole
    pushed.insert(0, clock.tweet(sequence=900))
    await cache.deliver(pushed[0], [USER], links, in_place)
    assert await home(cache, USER) == (pushed + built)[: limits.HOME_KEPT]
    read = await cache.read_home(USER, 0, limits.HOME_KEPT)
    assert (read.whole, read.reached_end) == (False, True)


@pytest.mark.parametrize("above_s", [None, 1, 60], ids=["below a newer one", "on a young one", "on old ones"])
async def test_a_long_list_is_trimmed_wherever_the_last_id_went(
    cache: Cache, clock: ManualClock, links: dict[str, Link], above_s: int | None
) -> None:
    built = [clock.tweet(20_000 + at) for at in range(limits.HOME_KEPT)]
    await build_home(cache, USER, built, whole=False)
    top: list[int] = []
    for sequence in range(limits.HOME_TRIM_AT - limits.HOME_KEPT):
        top.insert(0, clock.tweet(sequence=sequence))
        await cache.deliver(top[0], [USER], links, True)
    clock.advance(above_s or 0)
    last = clock.tweet() if above_s else clock.tweet(5_000)
    assert await cache.deliver(last, [USER], links, True) == Delivered(inserted=1)
    expected = [last, *top, *built] if above_s else [*top, last, *built]
    assert await home(cache, USER) == expected[: limits.HOME_KEPT]


async def test_a_list_under_build_with_old_ids_on_top_is_not_cut(
    cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    link = await begun_home(cache, USER, -5)
    pushed = [clock.tweet(sequence=sequence) for sequence in range(limits.HOME_TRIM_AT)]
    for tweet_id in pushed:
        await cache.deliver(tweet_id, [USER], links, False)
    clock.advance(30)
    late = clock.tweet()
    assert await cache.deliver(late, [USER], links, True) == Delivered(inserted=1)
    assert await cache.finish_home(USER, -5, [pushed[0]], True, 1, link, 0)
    assert await home(cache, USER) == [late, *pushed[::-1]][: limits.HOME_KEPT]


async def test_author_lists_are_trimmed_too(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    built = [clock.tweet(20_000 + at) for at in range(limits.AUTHOR_KEPT)]
    await build_author(cache, AUTHOR, built, whole=False)
    own: list[int] = []
    for sequence in range(limits.AUTHOR_TRIM_AT - limits.AUTHOR_KEPT):
        own.insert(0, clock.tweet(sequence=sequence))
        await cache.place_author(AUTHOR, own[0], links)
    assert await posts(cache, AUTHOR) == own + built
    own.insert(0, clock.tweet(sequence=900))
    await cache.place_author(AUTHOR, own[0], links)
    assert await posts(cache, AUTHOR) == (own + built)[: limits.AUTHOR_KEPT]


@pytest.mark.parametrize("in_place", [True, False])
async def test_a_list_under_build_is_never_cut(
    cache: Cache, clock: ManualClock, links: dict[str, Link], in_place: bool
) -> None:
    link = await begun_home(cache, USER, -5)
    pushed = [clock.tweet(sequence=sequence) for sequence in range(limits.HOME_TRIM_AT + 3)]
    for tweet_id in pushed:
        await cache.deliver(tweet_id, [USER], links, in_place)
    assert await cache.finish_home(USER, -5, [clock.tweet(9)], True, 1, link, 0)
    assert await home(cache, USER) == pushed[::-1][: limits.HOME_KEPT]


# --- the author's own two lists ---------------------------------------------------------------------------------------


async def test_an_author_finds_the_post_in_both_lists(cache: Cache, clock: ManualClock, links: dict[str, Link]) -> None:
    await build_author(cache, AUTHOR, [clock.tweet(), clock.tweet(9)], whole=True)
    await build_home(cache, AUTHOR, [clock.tweet(9)], whole=True)
    assert await cache.place_author(AUTHOR, clock.tweet(1), links) == Delivered(inserted=2)
    assert await posts(cache, AUTHOR) == [clock.tweet(), clock.tweet(1), clock.tweet(9)]
    assert await home(cache, AUTHOR) == [clock.tweet(1), clock.tweet(9)]
    assert await cache.place_author(AUTHOR, clock.tweet(1), links) == Delivered(duplicate=2)


async def test_a_post_of_ones_own_is_there_at_once(cache: Cache, clock: ManualClock) -> None:
    await build_author(cache, AUTHOR, [clock.tweet(9)], whole=True)
    await build_home(cache, AUTHOR, [clock.tweet(), clock.tweet(9)], whole=True)
    for _ in range(2):
        await cache.place_own(AUTHOR, clock.tweet(1))
    assert await posts(cache, AUTHOR) == [clock.tweet(1), clock.tweet(9)]
    # Placed, never pushed: a server that stalled must not put an old id on top.
    assert await home(cache, AUTHOR) == [clock.tweet(), clock.tweet(1), clock.tweet(9)]


async def test_a_post_of_ones_own_makes_no_list(cache: Cache, clock: ManualClock) -> None:
    await cache.place_own(AUTHOR, clock.tweet())
    assert not (await cache.read_home(AUTHOR, 0, 1)).exists
    assert not (await cache.read_authors([AUTHOR], 1))[AUTHOR].exists


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_node_without_link_is_behind_and_gets_nothing(
    subject: Subject, cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    followers = list(range(1_000, 1_030))
    for follower_id in followers:
        await build_home(cache, follower_id, [], whole=True)
    away = subject.node_of(followers[0])
    rest = {node: link for node, link in links.items() if node != away}
    theirs = [follower_id for follower_id in followers if subject.node_of(follower_id) == away]
    delivered = await cache.deliver(clock.tweet(), followers, rest, False)
    assert delivered == Delivered(pushed=len(followers) - len(theirs), behind=frozenset({away}))
    assert [await home(cache, follower_id) for follower_id in theirs] == [[]] * len(theirs)
    nothing = Delivered(behind=frozenset({away}))
    assert await cache.place_author(theirs[0], clock.tweet(), rest) == nothing
    assert await cache.overwrite_relations(theirs[0], 5, rest) == nothing
    assert await home(cache, theirs[0]) == []


async def test_a_link_that_ended_is_behind_and_carries_nothing(
    subject: Subject, cache: Cache, clock: ManualClock, links: dict[str, Link]
) -> None:
    await build_home(cache, USER, [], whole=True)
    mine = links[subject.node_of(USER)]
    subject.drop_connections(mine.node)
    await ended(cache, mine)
    behind = Delivered(behind=frozenset({mine.node}))
    assert await cache.deliver(clock.tweet(), [USER], links, False) == behind
    # Nor does it when the node is linked again: what rests on a link rests on exactly that one.
    again = await relinked(cache, mine)
    for in_place in (True, False):
        assert await cache.deliver(clock.tweet(), [USER], links, in_place) == behind
    assert await cache.place_author(USER, clock.tweet(), links) == behind
    assert await cache.overwrite_relations(USER, 5, links) == behind
    assert await home(cache, USER) == []
    assert await cache.deliver(clock.tweet(), [USER], {**links, mine.node: again}, False) == Delivered(pushed=1)
