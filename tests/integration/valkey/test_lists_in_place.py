"""L13-L16 of docs/protocols/links.md: scripts/place.lua and scripts/finish.lua under every order of arrival."""

from __future__ import annotations

import asyncio
import random

from rookery_server.cache import keys
from rookery_server.cache.interface import Link, LoadedList
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.domain import ids, limits
from tests.integration.valkey.clusters import Cluster, fresh_id

USER = 7


async def built(cache: RedisCache, newest_first: list[int], *, whole: bool, user: int = USER) -> dict[str, Link]:
    link = await cache.begin_home(user, -1)
    assert link is not None
    assert await cache.finish_home(user, -1, newest_first, whole, 1, link, 0)
    return await cache.open_links()


async def home(cache: RedisCache, user: int = USER) -> list[int]:
    return list((await cache.read_home(user, 0, 2000)).ids)


def raw(cluster: Cluster, key: bytes) -> list[str]:
    for node in cluster.stack.valkey:
        slots = cluster.ask(node, "CLUSTER", "SLOTS")
        me = cluster.ask(node, "CLUSTER", "MYID")
        slot = cluster.ask(node, "CLUSTER", "KEYSLOT", key)
        if any(first <= slot <= last and primary[2] == me for first, last, primary, *_ in slots):
            found: list[str] = cluster.ask(node, "LRANGE", key, 0, -1)
            return found
    raise AssertionError("nobody serves the slot")


async def test_any_order_ends_in_id_order_without_doubles(cache: RedisCache) -> None:
    rng = random.Random(20)
    for history in range(60):
        user = 1000 + history
        now = fresh_id()
        # A few ids around one moment, some of the same millisecond, some with 18 digits, some far older.
        pool = [
            max(10**17 + 3, now - rng.choice([0, 1, 5, 1 << 22, 1 << 30, 1 << 40, now]) * rng.randrange(1, 4))
            for _ in range(12)
        ]
        tweets = sorted(set(pool), reverse=True)
        links = await built(cache, [], whole=True, user=user)
        arriving = tweets * 2
        rng.shuffle(arriving)
        for tweet in arriving:
            delivered = await cache.deliver(tweet, [user], links, True)
            assert delivered.inserted + delivered.duplicate == 1
        assert await home(cache, user) == tweets, f"history {history}"
        assert (await cache.read_home(user, 0, 100)).whole


async def test_plain_pushes_out_of_order_are_put_right_by_applying_again(cache: RedisCache) -> None:
    rng = random.Random(21)
    for history in range(30):
        user = 2000 + history
        tweets = sorted((fresh_id(rng.randrange(1000)) + n for n in range(6)), reverse=True)
        links = await built(cache, [fresh_id(age_ms=60_000)], whole=False, user=user)
        arriving = [*tweets, rng.choice(tweets)]
        rng.shuffle(arriving)
        for tweet in arriving:
            assert (await cache.deliver(tweet, [user], links, False)).pushed == 1
        assert sorted(await home(cache, user), reverse=True)[:-1] != tweets  # one is double
        for tweet in rng.sample(tweets, len(tweets)):
            await cache.deliver(tweet, [user], links, True)
        assert (await home(cache, user))[:-1] == tweets, f"history {history}"


async def test_what_is_too_old_for_a_plain_push_is_placed(cache: RedisCache) -> None:
    newest, older = fresh_id(), fresh_id(age_ms=limits.PLAIN_PUSH_MS + 500)
    links = await built(cache, [newest, older - 10], whole=True)
    delivered = await cache.deliver(older, [USER], links, False)
    assert (delivered.inserted, delivered.pushed) == (1, 0)
    assert await home(cache) == [newest, older, older - 10]


async def test_below_the_floor_nothing_is_let_in(cache: RedisCache) -> None:
    top, last = fresh_id(), fresh_id(age_ms=5000)
    links = await built(cache, [top, last], whole=False)
    delivered = await cache.deliver(last - 1, [USER], links, True)
    assert (delivered.inserted, delivered.inactive, delivered.behind) == (0, 1, frozenset())
    assert await home(cache) == [top, last]
    # With the end mark there is no floor.
    links = await built(cache, [top, last], whole=True)
    assert (await cache.deliver(last - 1, [USER], links, True)).inserted == 1
    assert await home(cache) == [top, last, last - 1]


async def test_a_list_of_nothing_but_copies_keeps_one(cache: RedisCache) -> None:
    tweet = fresh_id()
    links = await built(cache, [tweet], whole=False)
    assert (await cache.deliver(tweet, [USER], links, False)).pushed == 1
    assert await home(cache) == [tweet, tweet]
    assert (await cache.deliver(tweet, [USER], links, True)).duplicate == 1
    assert await home(cache) == [tweet]


async def test_trims_cut_the_end_mark_off(cache: RedisCache) -> None:
    first = fresh_id()
    links = await built(cache, [first - n for n in range(limits.HOME_KEPT)], whole=True)
    read = await cache.read_home(USER, 0, limits.HOME_KEPT)
    assert (len(read.ids), read.whole) == (limits.HOME_KEPT, True)
    # 800 ids and the mark: 63 more pushes reach 864, the next one trims.
    for n in range(1, limits.HOME_TRIM_AT - limits.HOME_KEPT):
        await cache.deliver(fresh_id(n), [USER], links, False)
    assert len((await cache.read_home(USER, 0, 2000)).ids) == limits.HOME_TRIM_AT - 1
    assert (await cache.read_home(USER, 0, 1)).whole
    await cache.deliver(fresh_id(900), [USER], links, False)
    read = await cache.read_home(USER, 0, 2000)
    assert (len(read.ids), read.whole, read.reached_end) == (limits.HOME_KEPT, False, True)


# --- builds ------------------------------------------------------------------------------------------------------


async def test_two_builders_of_one_key(calm: Cluster) -> None:
    caches = [calm.cache(), calm.cache()]
    for user in range(100, 150):
        begun = await asyncio.gather(*(cache.begin_home(user, -1 - n) for n, cache in enumerate(caches)))
        assert sorted(link is None for link in begun) == [False, True]
        (winner,) = (n for n, link in enumerate(begun) if link is not None)
        mine = begun[winner]
        assert mine is not None
        loser = caches[1 - winner]
        # The second neither takes the place nor stores.
        theirs = next(link for link in (await loser.open_links()).values() if link.node == mine.node)
        assert not await loser.finish_home(user, -2 + winner, [fresh_id()], True, 9, theirs, 0)
        assert not (await loser.read_home(user, 0, 10)).exists
        assert await caches[winner].finish_home(user, -1 - winner, [50, 40], True, 3, mine, 0)
        read = await loser.read_home(user, 0, 10)
        assert (read.exists, read.ids, read.whole, read.built_under) == (True, (50, 40), True, 3)


async def test_what_arrives_during_a_build_is_in_it_once(cache: RedisCache) -> None:
    rng = random.Random(22)
    for history in range(40):
        user, now = 3000 + history, fresh_id()
        gathered = sorted({now - rng.randrange(1, 1 << 34) for _ in range(10)}, reverse=True)
        late = rng.sample(gathered, 3)
        newer = [now + n for n in range(3)]
        link = await cache.begin_home(user, -5)
        assert link is not None
        links = await cache.open_links()
        for tweet in rng.sample(newer + late, 6):
            await cache.deliver(tweet, [user], links, rng.random() < 0.5)
        whole = rng.random() < 0.5
        assert await cache.finish_home(user, -5, gathered, whole, 1, link, 0)
        assert await home(cache, user) == sorted({*newer, *gathered}, reverse=True)


async def test_a_full_list_whose_last_id_arrived_twice_keeps_its_end_mark(cache: RedisCache) -> None:
    top = fresh_id()
    gathered = [top - n for n in range(limits.HOME_KEPT)]
    link = await cache.begin_home(USER, -5)
    assert link is not None
    assert (await cache.deliver(gathered[-1], [USER], await cache.open_links(), True)).inserted == 1
    assert await cache.finish_home(USER, -5, gathered, True, 1, link, 0)
    read = await cache.read_home(USER, 0, 1000)
    assert (list(read.ids), read.whole) == (gathered, True)


async def test_a_late_arrival_below_the_floor_does_not_deepen_the_claim(cache: RedisCache) -> None:
    top, last = fresh_id(), fresh_id(age_ms=60_000)
    link = await cache.begin_home(USER, -5)
    assert link is not None
    ancient = fresh_id(age_ms=3_600_000)
    assert (await cache.deliver(ancient, [USER], await cache.open_links(), True)).inserted == 1
    assert await cache.finish_home(USER, -5, [top, last], False, 1, link, 0)
    assert await home(cache) == [top, last]


async def test_a_token_is_never_trimmed_away_nor_given_a_longer_life(calm: Cluster) -> None:
    cache = calm.cache()
    link = await cache.begin_home(USER, -5)
    assert link is not None
    links = await cache.open_links()
    for n in range(limits.HOME_TRIM_AT + 5):
        await cache.deliver(fresh_id(n % 4096), [USER], links, n % 2 == 0)
    assert not (await cache.read_home(USER, 0, 5)).exists
    assert raw(calm, keys.home(USER))[-1] == "-5"
    life = calm.ask(calm.primary(link.node), "TTL", keys.home(USER))
    assert 0 < life <= limits.BUILD_TOKEN_LIFE_S
    assert await cache.finish_home(USER, -5, [], True, 1, link, 0)
    read = await cache.read_home(USER, 0, 2000)
    assert (len(read.ids), read.whole) == (limits.HOME_KEPT, False)


async def test_a_read_gives_an_old_list_a_new_life(calm: Cluster) -> None:
    cache = calm.cache()
    await built(cache, [9, 8], whole=True)
    node = calm.primary(owner(cache))
    for key in (keys.home(USER), keys.home_meta(USER)):
        calm.ask(node, "EXPIRE", key, limits.LIST_LIFE_S - limits.LIST_REFRESH_S + 60)
    await cache.read_home(USER, 0, 1)
    await cache.read_home(USER, 0, 1)
    young = calm.ask(node, "TTL", keys.home(USER))
    assert young <= limits.LIST_LIFE_S - limits.LIST_REFRESH_S + 60
    for key in (keys.home(USER), keys.home_meta(USER)):
        calm.ask(node, "EXPIRE", key, limits.LIST_LIFE_S - limits.LIST_REFRESH_S - 60)
    await cache.read_home(USER, 0, 1)
    await cache.read_home(USER, 0, 1)  # over the same link, behind the refresh
    assert min(calm.ask(node, "TTL", key) for key in (keys.home(USER), keys.home_meta(USER))) > limits.LIST_LIFE_S - 60


def owner(cache: RedisCache) -> str:
    node = cache._client.directory.current.owners[keys.slot_of(USER)]
    assert node is not None
    return node


async def test_author_lists_are_kept_shorter(cache: RedisCache) -> None:
    newest = fresh_id()
    link = (await cache.begin_authors([USER], -3))[USER]
    assert not (await cache.read_authors([USER], 8))[USER].exists
    loaded = LoadedList(USER, tuple(newest - n for n in range(limits.AUTHOR_KEPT + 1)), True, link)
    assert await cache.finish_authors([loaded], -3) == {USER}
    read = (await cache.read_authors([USER, USER + 1], 500))[USER]
    assert (len(read.ids), read.whole, read.reached_end) == (limits.AUTHOR_KEPT, False, True)
    assert ids.time_ms(read.ids[0]) == ids.time_ms(newest)
    links = await cache.open_links()
    await built(cache, [], whole=True)
    placed = await cache.place_author(USER, newest + 1, links)
    assert (placed.inserted, placed.behind) == (2, frozenset())
    assert (await cache.place_author(USER, newest + 1, links)).duplicate == 2
    assert (await cache.read_authors([USER], 1))[USER].ids == (newest + 1,)
    assert await home(cache) == [newest + 1]


async def test_five_thousand_author_lists_at_once(cache: RedisCache) -> None:
    authors = list(range(1, 5001))
    read = await cache.read_authors(authors, 8)
    assert len(read) == 5000
    assert not any(found.exists for found in read.values())
