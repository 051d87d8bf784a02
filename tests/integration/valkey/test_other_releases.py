"""L18 of docs/protocols/links.md: bytes of another release are replaced, never believed."""

from __future__ import annotations

import struct

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import HistoryRead
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.commands import Word, pack
from rookery_server.domain.models import Relations
from tests.integration.valkey.clusters import adopted

USER = 7
OF_FORMAT_1 = b"\x01\x01" + struct.pack(">QBQ", 90, 1, 90) + struct.pack(">Iq", 1, 5) + bytes(12)


async def put(cache: RedisCache, key: bytes, value: Word) -> None:
    """Over the adapter's own link, as a process of another release would."""
    link = await cache._client.link_to(keys.slot_of(USER))
    assert await cache._client.over(link, pack("SET", key, value), 1, "relation") == [b"OK"]


@pytest.mark.parametrize("raw", [OF_FORMAT_1, b"\x07", b"who knows"])
async def test_relations_of_another_release_are_loaded_anew(cache: RedisCache, raw: bytes) -> None:
    await put(cache, keys.relations(USER), raw)
    read = (await cache.read_home(USER, 0, 1)).relations
    assert (read.seen, read.version, read.relations) == (raw, 0, None)
    assert await cache.store_relations(USER, read, Relations(95, muted={5: 0}))
    assert (await cache.read_home(USER, 0, 1)).relations.relations == Relations(95, muted={5: 0})


@pytest.mark.parametrize("worker", [True, False])
async def test_relations_of_another_release_are_stubbed(cache: RedisCache, worker: bool) -> None:
    """Whatever they say of having been stubbed for this change."""
    await adopted(cache)
    await put(cache, keys.relations(USER), OF_FORMAT_1)
    if worker:
        assert (await cache.overwrite_relations(USER, 90, await cache.open_links(), 7)).inserted == 1
    else:
        assert await cache.stub_relations(USER, 90, 7)
    read = (await cache.read_home(USER, 0, 1)).relations
    assert (read.version, read.relations) == (90, None)
    assert (await cache.overwrite_relations(USER, 90, await cache.open_links(), 7)).duplicate == 1


@pytest.mark.parametrize("meta", ["12", "12 34 56", "x y", ""])
async def test_a_list_with_meta_of_another_release_counts_as_missing(cache: RedisCache, meta: str) -> None:
    link = await cache.begin_home(USER, -1)
    assert link is not None
    assert await cache.finish_home(USER, -1, [], True, 12, link, 34)
    assert (await cache.read_home(USER, 0, 1)).built_under == 12
    await put(cache, keys.home_meta(USER), meta)
    assert (await cache.read_home(USER, 0, 1)).built_under is None


async def test_a_profile_of_another_release_is_loaded_anew(cache: RedisCache) -> None:
    await put(cache, keys.profile(USER), b"\x02\x01who")
    read = (await cache.read_profiles([USER]))[USER]
    assert (read.seen, read.value) == (b"\x02\x01who", None)
    await cache.store_profiles({USER: (read, b"me")})
    assert (await cache.read_profiles([USER]))[USER].value == b"me"


async def test_history_of_another_release_is_missing(cache: RedisCache) -> None:
    await put(cache, keys.history(USER), b"\x02" + bytes(40))
    assert await cache.read_history(USER) is None
    assert await cache.store_relations(USER, await cache.read_relations(USER), Relations(1))
    seen = (await cache.read_home(USER, 0, 1)).relations.seen
    assert seen is not None
    assert await cache.store_history(USER, seen, HistoryRead(9, 7, (8,), 1, 5))
    assert await cache.read_history(USER) == HistoryRead(9, 7, (8,), 1, 5)
