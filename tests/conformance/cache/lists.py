"""Lists as the cases need them."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.cache.interface import Cache, Link, LoadedList

TOKEN = -77


async def build_home(
    cache: Cache, user_id: int, newest_first: Sequence[int], *, whole: bool, version: int = 1, built_ms: int = 0
) -> None:
    link = await begun_home(cache, user_id)
    assert await cache.finish_home(user_id, TOKEN, newest_first, whole, version, link, built_ms)


async def build_author(cache: Cache, author_id: int, newest_first: Sequence[int], *, whole: bool) -> None:
    link = await begin_author(cache, author_id)
    assert link is not None
    assert await finish_author(cache, author_id, TOKEN, newest_first, whole, link)


async def begin_author(cache: Cache, author_id: int, token: int = TOKEN) -> Link | None:
    """One alone."""
    return (await cache.begin_authors([author_id], token)).get(author_id)


async def finish_author(
    cache: Cache, author_id: int, token: int, newest_first: Sequence[int], whole: bool, link: Link
) -> bool:
    loaded = LoadedList(author_id, tuple(newest_first), whole, link)
    return author_id in await cache.finish_authors([loaded], token)


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
