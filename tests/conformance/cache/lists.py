"""Lists as the cases need them."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.cache.interface import Cache, Link

TOKEN = -77


async def build_home(
    cache: Cache, user_id: int, newest_first: Sequence[int], *, whole: bool, version: int = 1, built_ms: int = 0
) -> None:
    link = await begun_home(cache, user_id)
    assert await cache.finish_home(user_id, TOKEN, newest_first, whole, version, link, built_ms)


async def build_author(cache: Cache, author_id: int, newest_first: Sequence[int], *, whole: bool) -> None:
    link = await cache.begin_author(author_id, TOKEN)
    assert link is not None
    assert await cache.finish_author(author_id, TOKEN, newest_first, whole, link)


async def begun_home(cache: Cache, user_id: int, token: int = TOKEN) -> Link:
    link = await cache.begin_home(user_id, token)
    assert link is not None
    return link


async def home(cache: Cache, user_id: int) -> list[int]:
    """All of an existing list, as it stands."""
    read = await cache.read_home(user_id, 0, 2_000)
    assert read.exists
    assert read.reached_end
    return list(read.ids)


async def posts(cache: Cache, author_id: int) -> list[int]:
    read = (await cache.read_authors([author_id], 2_000))[author_id]
    assert read.exists
    assert read.reached_end
    return list(read.ids)
