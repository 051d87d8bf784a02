"""A look at the heads of many home lists: says that something arrived, proves nothing."""

from __future__ import annotations

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache
from tests.conformance.cache.lists import TOKEN, begun_home, build_home
from tests.conformance.cache.subjects import ManualClock, Subject

USER = 42


async def head(cache: Cache) -> tuple[int, ...]:
    return (await cache.read_heads([USER]))[USER]


async def test_a_head_is_the_list_as_it_stands(cache: Cache, clock: ManualClock) -> None:
    """No list, one under build, one without posts: three different things."""
    assert await head(cache) == ()
    link = await begun_home(cache, USER)
    assert await head(cache) == (TOKEN,)
    assert await cache.finish_home(USER, TOKEN, [], True, 1, link, 0)
    assert await head(cache) == (0,)
    newest = clock.tweet()
    await cache.deliver(newest, [USER], await cache.open_links(), False)
    assert await head(cache) == (newest, 0)


async def test_a_head_is_sixteen_positions(cache: Cache, clock: ManualClock) -> None:
    newest_first = [clock.tweet(age_ms=at) for at in range(40)]
    await build_home(cache, USER, newest_first, whole=True)
    assert await head(cache) == tuple(newest_first[:16])
    assert keys.HEAD_POSITIONS == 16


async def test_a_look_gives_a_list_no_new_life(cache: Cache, subject: Subject, clock: ManualClock) -> None:
    await build_home(cache, USER, [clock.tweet()], whole=True)
    subject.shorten(keys.home(USER), 100)
    await head(cache)
    left = subject.left_s(keys.home(USER))
    assert left is not None
    assert left <= 100


async def test_many_heads_at_once(cache: Cache, subject: Subject, clock: ManualClock) -> None:
    users = range(1_000, 1_400)
    assert len({subject.node_of(user_id) for user_id in users}) == 3
    some = clock.tweet()
    await build_home(cache, 1_007, [some], whole=True)
    found = await cache.read_heads([*users, 1_007])
    assert found == {user_id: (some, 0) if user_id == 1_007 else () for user_id in users}
    assert await cache.read_heads([]) == {}
