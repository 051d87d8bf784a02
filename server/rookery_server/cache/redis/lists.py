"""Home lists and author lists, as servers read and build them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import AuthorRead, HomeRead, Link, LoadedList
from rookery_server.cache.redis import uses
from rookery_server.cache.redis.commands import pack
from rookery_server.cache.redis.connection import Reply, is_error
from rookery_server.cache.redis.errors import Malformed, Refused
from rookery_server.cache.redis.placing import place_calls
from rookery_server.cache.redis.relations import read_value
from rookery_server.cache.redis.role import Role
from rookery_server.domain import limits

_MULTI, _EXEC = pack("MULTI"), pack("EXEC")
_REFRESH_BELOW_S = limits.LIST_LIFE_S - limits.LIST_REFRESH_S


class ListsRole(Role):
    async def read_home(self, user_id: int, start: int, count: int) -> HomeRead:
        home, meta = keys.home(user_id), keys.home_meta(user_id)
        # One moment of list, tail and meta: between two of these commands a build might begin or finish, and a list
        # under build would pass for a complete one.
        packed = b"".join(
            (
                _MULTI,
                pack("LRANGE", home, start, start + count),  # one more than asked for: is there more behind?
                pack("LINDEX", home, -1),
                pack("TTL", home),
                pack("MGET", meta, keys.relations(user_id)),
                _EXEC,
            )
        )
        link, replies = await self._client.ask(keys.slot_of(user_id), packed, 6, uses.TIMELINE_READ)
        results = self._client.accepted(replies[-1], uses.TIMELINE_READ)
        if any(map(is_error, results)):
            raise Refused(str(next(filter(is_error, results))))
        entries, tail, life, (meta_value, relations) = results
        exists = tail is not None and not tail.startswith(b"-")
        if exists and 0 <= life < _REFRESH_BELOW_S:
            self._refresh(link, home, meta)
        version, built_ms = _built(meta_value if exists else None)
        return HomeRead(
            link=link,
            exists=exists,
            ids=_ids(entries[:count]) if exists else (),
            reached_end=exists and len(entries) <= count,
            whole=exists and tail == keys.END_MARK,
            built_under=version,
            relations=read_value(link, relations),
            built_ms=built_ms,
        )

    def _refresh(self, link: Link, home: bytes, meta: bytes) -> None:
        """Nobody waits for it: the next read a moment later would do it again."""
        self._client.cast(link, self._client.scripts.refresh.call([home, meta], limits.LIST_LIFE_S))

    async def read_authors(self, author_ids: Sequence[int], depth: int) -> dict[int, AuthorRead]:
        # The tail is read first: if the list is under build at that moment its token is seen here, and if a build
        # begins between the two, the slice starts anew with whatever was pushed since, the token behind it.
        def packed(author_id: int) -> bytes:
            key = keys.author(author_id)
            return pack("LINDEX", key, -1) + pack("LRANGE", key, 0, depth)

        found: dict[int, AuthorRead] = {}
        for part in await self._client.ask_all(author_ids, packed, 2, uses.BUILD):
            replies = iter(part.replies)
            for author_id, tail, entries in zip(part.tags, replies, replies, strict=True):
                if not is_error(tail) and not is_error(entries):
                    found[author_id] = _author_read(part.link, tail, entries, depth)
        return found

    async def read_heads(self, user_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}
        for part in await self._client.ask_all(user_ids, _head, 1, uses.TIMELINE_READ):
            for user_id, entries in zip(part.tags, part.replies, strict=True):
                if not is_error(entries):
                    found[user_id] = tuple(map(int, entries))
        return found

    # --- building ----------------------------------------------------------------------------------------------

    async def begin_home(self, user_id: int, token: int) -> Link | None:
        begin = self._client.scripts.begin
        link = await self._client.link_to(keys.slot_of(user_id))
        call = begin.call([keys.home(user_id), keys.home_meta(user_id)], token, limits.BUILD_TOKEN_LIFE_S)
        return link if await self._client.script_one(link, begin, call, uses.BUILD) else None

    async def begin_authors(self, author_ids: Sequence[int], token: int) -> dict[int, Link]:
        begin, found = self._client.scripts.begin, dict[int, Link]()

        async def over(link: Link, authors: list[int]) -> None:
            calls = [begin.call([keys.author(id_)], token, limits.BUILD_TOKEN_LIFE_S) for id_ in authors]
            for id_, begun in zip(authors, await self._client.script_many(link, begin, calls, uses.BUILD), strict=True):
                if begun:
                    found[id_] = link

        links = await self._client.links_to(dict.fromkeys(author_ids))
        await asyncio.gather(*(over(link, authors) for link, authors in links.items()))
        return found

    async def finish_home(
        self, user_id: int, token: int, ids: Sequence[int], whole: bool, version: int, link: Link, built_ms: int
    ) -> bool:
        if not self._client.is_current(link):
            return False
        finish, meta = self._client.scripts.finish, b"%d %d" % (version, built_ms)
        of = [keys.home(user_id), keys.home_meta(user_id)]
        call = finish.call(of, token, int(whole), meta, limits.LIST_LIFE_S, *_kept(limits.HOME_KEPT, ids))
        return bool(await self._client.script_one(link, finish, call, uses.BUILD))

    async def finish_authors(self, lists: Sequence[LoadedList], token: int) -> frozenset[int]:
        finish, stored = self._client.scripts.finish, set[int]()
        by_link: dict[Link, list[LoadedList]] = {}
        for one in lists:
            by_link.setdefault(one.link, []).append(one)

        async def over(link: Link, loaded: list[LoadedList]) -> None:
            calls = [self._finish_call(one, token) for one in loaded]
            replies = await self._client.script_many(link, finish, calls, uses.BUILD)
            stored.update(one.author_id for one, done in zip(loaded, replies, strict=True) if done)

        await asyncio.gather(*(over(link, loaded) for link, loaded in by_link.items()))
        return frozenset(stored)

    def _finish_call(self, one: LoadedList, token: int) -> bytes:
        life_s = keys.jittered(limits.LIST_LIFE_S, self._client.rng.random())
        kept = _kept(limits.AUTHOR_KEPT, one.ids)
        return self._client.scripts.finish.call([keys.author(one.author_id)], token, int(one.whole), b"", life_s, *kept)

    # --- the author's own view -----------------------------------------------------------------------------------

    async def place_own(self, author_id: int, tweet_id: int) -> None:
        link = await self._client.link_to(keys.slot_of(author_id))
        place = self._client.scripts.place
        for reply in await self._client.script(link, place, place_calls(place, author_id, tweet_id), uses.PUSH):
            self._client.accepted(reply, uses.PUSH)


def _head(user_id: int) -> bytes:
    return pack("LRANGE", keys.home(user_id), 0, keys.HEAD_POSITIONS - 1)


def _kept(kept: int, newest_first: Sequence[int]) -> tuple[int, ...]:
    """What a list keeps, and of that the ids.  One more is sent: further ones would only be dropped, but dropping one
    unmarks the end."""
    return (kept, *newest_first[: kept + 1])


def _built(meta: bytes | None) -> tuple[int | None, int]:
    """The relations version a list was built under, and when; bytes of another release count as no list."""
    try:
        version, built_ms = map(int, (meta or b"").split())
    except ValueError:
        return None, 0
    return version, built_ms


def _author_read(link: Link, tail: Reply, entries: Reply, depth: int) -> AuthorRead:
    under_build = (tail is not None and tail.startswith(b"-")) or (bool(entries) and entries[-1].startswith(b"-"))
    if tail is None or not entries or under_build:
        return AuthorRead(link, exists=False, ids=(), reached_end=False, whole=False)
    reached_end = len(entries) <= depth
    whole = reached_end and entries[-1] == keys.END_MARK
    return AuthorRead(link, True, _ids(entries[:depth]), reached_end, whole)


def _ids(entries: Sequence[bytes]) -> tuple[int, ...]:
    """Without the end mark, which can only stand last."""
    try:
        return tuple(map(int, entries[:-1] if entries and entries[-1] == keys.END_MARK else entries))
    except ValueError as error:
        raise Malformed(f"a list entry is no id: {error}") from error
