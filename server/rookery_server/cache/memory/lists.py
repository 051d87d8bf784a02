"""Home lists and author lists, as servers read and build them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import AuthorRead, HomeRead, Link, LoadedList
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.placing import Placed, finished, place, under_build
from rookery_server.cache.memory.relations import read_value, stored
from rookery_server.cache.memory.role import Role
from rookery_server.cache.memory.values import END_MARK, StoredMeta
from rookery_server.domain import limits
from rookery_server.domain.errors import CacheUnavailable


def entries_of(node: Node, key: bytes) -> tuple[int, ...] | None:
    value = node.get(key)
    return value if isinstance(value, tuple) else None


def place_home(node: Node, user_id: int, tweet_id: int) -> Placed | None:
    return _place(node, keys.home(user_id), tweet_id, limits.HOME_TRIM_AT, limits.HOME_KEPT)


def place_author(node: Node, author_id: int, tweet_id: int) -> Placed | None:
    return _place(node, keys.author(author_id), tweet_id, limits.AUTHOR_TRIM_AT, limits.AUTHOR_KEPT)


def _place(node: Node, key: bytes, tweet_id: int, trim_at: int, kept: int) -> Placed | None:
    entries = entries_of(node, key)
    if entries is None:
        return None
    placed, changed = place(entries, tweet_id, trim_at, kept)
    node.change(key, changed)
    return placed


def _ids(entries: Sequence[int]) -> tuple[int, ...]:
    """Only the last one may be the end mark."""
    return tuple(entries[:-1] if entries and entries[-1] == END_MARK else entries)


class ListsRole(Role):
    async def read_home(self, user_id: int, start: int, count: int) -> HomeRead:
        def read(node: Node) -> HomeRead:
            entries, relations = entries_of(node, keys.home(user_id)), read_value(link, stored(node, user_id))
            if entries is None or under_build(entries):
                return HomeRead(link, False, (), False, False, None, relations)
            self._refresh(node, user_id)
            meta = node.get(keys.home_meta(user_id))
            built = meta if isinstance(meta, StoredMeta) else None
            return HomeRead(
                link,
                exists=True,
                ids=_ids(entries[start : start + count]),
                reached_end=len(entries) <= start + count,
                whole=entries[-1] == END_MARK,
                built_under=built.version if built else None,
                relations=relations,
                built_ms=built.built_ms if built else 0,
            )

        link = self._link(self._world.node_of(user_id))
        return await self._over(link, "read_home", read)

    def _refresh(self, node: Node, user_id: int) -> None:
        left = node.left_s(keys.home(user_id))
        if left is not None and left < limits.LIST_LIFE_S - limits.LIST_REFRESH_S:
            for key in (keys.home(user_id), keys.home_meta(user_id)):
                value = node.get(key)
                if value is not None:
                    node.set(key, value, limits.LIST_LIFE_S)

    async def read_authors(self, author_ids: Sequence[int], depth: int) -> dict[int, AuthorRead]:
        found: dict[int, AuthorRead] = {}

        async def of_node(wanted: list[int]) -> None:
            try:
                link, lists = await self._ask(
                    wanted[0], "read_authors", lambda node: [entries_of(node, keys.author(id_)) for id_ in wanted]
                )
            except CacheUnavailable:
                return
            found.update((id_, _author(link, entries, depth)) for id_, entries in zip(wanted, lists, strict=True))

        await asyncio.gather(*map(of_node, self._by_node(dict.fromkeys(author_ids)).values()))
        return found

    async def place_own(self, author_id: int, tweet_id: int) -> None:
        def place_both(node: Node) -> None:
            place_author(node, author_id, tweet_id)
            place_home(node, author_id, tweet_id)

        await self._ask(author_id, "place_own", place_both)

    # --- building --------------------------------------------------------------------------------------------

    async def begin_home(self, user_id: int, token: int) -> Link | None:
        def begin(node: Node) -> bool:
            if not _begin(node, keys.home(user_id), token):
                return False
            node.delete(keys.home_meta(user_id))
            return True

        link, begun = await self._ask(user_id, "begin_home", begin)
        return link if begun else None

    async def begin_authors(self, author_ids: Sequence[int], token: int) -> dict[int, Link]:
        found: dict[int, Link] = {}

        async def of_node(wanted: list[int]) -> None:
            def begin(node: Node) -> list[bool]:
                return [_begin(node, keys.author(id_), token) for id_ in wanted]

            with contextlib.suppress(CacheUnavailable):
                link, begun = await self._ask(wanted[0], "begin_authors", begin)
                found.update((id_, link) for id_, ours in zip(wanted, begun, strict=True) if ours)

        await asyncio.gather(*map(of_node, self._by_node(dict.fromkeys(author_ids)).values()))
        return found

    async def finish_home(
        self, user_id: int, token: int, ids: Sequence[int], whole: bool, version: int, link: Link, built_ms: int
    ) -> bool:
        def finish(node: Node) -> bool:
            if not _finish(node, keys.home(user_id), token, ids, whole, limits.HOME_KEPT):
                return False
            node.set(keys.home_meta(user_id), StoredMeta(version, built_ms), limits.LIST_LIFE_S)
            return True

        return self.is_current(link) and await self._over(link, "finish_home", finish)

    async def finish_authors(self, lists: Sequence[LoadedList], token: int) -> frozenset[int]:
        stored: set[int] = set()
        by_link: dict[Link, list[LoadedList]] = {}
        for one in lists:
            by_link.setdefault(one.link, []).append(one)

        async def over(link: Link, loaded: list[LoadedList]) -> None:
            def finish(node: Node) -> set[int]:
                return {
                    one.author_id
                    for one in loaded
                    if _finish(node, keys.author(one.author_id), token, one.ids, one.whole, limits.AUTHOR_KEPT)
                }

            with contextlib.suppress(CacheUnavailable):
                stored.update(await self._over(link, "finish_authors", finish))

        await asyncio.gather(*(over(link, loaded) for link, loaded in by_link.items() if self.is_current(link)))
        return frozenset(stored)

    # --- looks at many ---------------------------------------------------------------------------------------

    async def read_heads(self, user_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}

        async def of_node(wanted: list[int]) -> None:
            try:
                _, lists = await self._ask(
                    wanted[0], "read_heads", lambda node: [entries_of(node, keys.home(id_)) or () for id_ in wanted]
                )
            except CacheUnavailable:
                return
            found.update((id_, one[: keys.HEAD_POSITIONS]) for id_, one in zip(wanted, lists, strict=True))

        await asyncio.gather(*map(of_node, self._by_node(dict.fromkeys(user_ids)).values()))
        return found


def _begin(node: Node, key: bytes, token: int) -> bool:
    if under_build(entries_of(node, key) or ()):
        return False
    node.set(key, (token,), limits.BUILD_TOKEN_LIFE_S)
    return True


def _finish(node: Node, key: bytes, token: int, gathered: Sequence[int], whole: bool, kept: int) -> bool:
    entries = entries_of(node, key)
    if entries is None or entries[-1] != token:
        return False
    done = finished(entries[:-1], gathered, whole, kept)
    if done is None:
        node.delete(key)
        return False
    node.set(key, done, limits.LIST_LIFE_S)
    return True


def _author(link: Link, entries: tuple[int, ...] | None, depth: int) -> AuthorRead:
    if entries is None or under_build(entries):
        return AuthorRead(link, exists=False, ids=(), reached_end=False, whole=False)
    reached_end = len(entries) <= depth
    return AuthorRead(link, True, _ids(entries[:depth]), reached_end, reached_end and entries[-1] == END_MARK)
