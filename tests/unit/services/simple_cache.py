"""Lists, bodies and marks of three nodes, without replicas.  Nodes go away, come back empty, or get a new connection
when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rookery_server.cache.interface import (
    AuthorRead,
    FillMark,
    HistoryRead,
    HomeRead,
    Link,
    LoadedList,
    Marks,
    ProfileRead,
    RelationsRead,
)
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import HOME_KEPT, HOME_TRIM_AT
from rookery_server.domain.models import Relations

END = 0


class SimpleCache:
    """`homes` and `authors` are the lists as they stand: newest first, a negative token, `END` behind the last."""

    def __init__(self, nodes: int = 3):
        self.nodes = [f"node-{number}" for number in range(nodes)]
        self.generations = dict.fromkeys(self.nodes, 1)
        self.down: set[str] = set()
        self.marks: dict[str, dict[int, int] | None] = {node: {} for node in self.nodes}
        self.homes: dict[int, list[int]] = {}
        self.built_under: dict[int, int] = {}
        self.built_ms: dict[int, int] = {}
        self.histories: dict[int, HistoryRead] = {}
        self.profiles: dict[int, tuple[int, bytes | None]] = {}
        """Version it was last stubbed for → what was stored over the stub."""
        self.relations: dict[int, tuple[int, Relations | None]] = {}
        self.authors: dict[int, list[int]] = {}
        self.bodies: dict[int, bytes] = {}
        self.rung: list[tuple[int, bytes]] = []
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], Any]] = {}

    def node_of(self, key: int) -> str:
        return self.nodes[key % len(self.nodes)]

    def link(self, key: int) -> Link:
        node = self.node_of(key)
        if node in self.down:
            raise CacheUnavailable
        return Link(node, self.generations[node])

    async def _begin(self, name: str) -> None:
        self.calls.append(name)
        hook = self.before.pop(name, None)
        result = hook() if hook else None
        if result is not None:
            await result

    # --- marks ------------------------------------------------------------------------------------------------

    async def read_marks(self) -> dict[str, Marks | None]:
        await self._begin("read_marks")
        answer: dict[str, Marks | None] = {}
        for node in self.nodes:
            marks = self.marks[node]
            link = Link(node, self.generations[node])
            answer[node] = None if node in self.down else Marks(link, marks is not None, dict(marks or {}))
        return answer

    def is_current(self, link: Link) -> bool:
        return link.node not in self.down and self.generations[link.node] == link.generation

    # --- lists ------------------------------------------------------------------------------------------------

    async def read_home(self, user_id: int, start: int, count: int) -> HomeRead:
        await self._begin("read_home")
        link = self.link(user_id)
        version, relations = self.relations.get(user_id, (0, None))
        seen = self._seen(user_id)
        exists, ids, reached, whole = _slice(self.homes.get(user_id), start, count)
        read = RelationsRead(link, seen, version, relations)
        return HomeRead(
            link, exists, ids, reached, whole, self.built_under.get(user_id), read, self.built_ms.get(user_id, 0)
        )

    async def read_relations(self, user_id: int) -> RelationsRead:
        await self._begin("read_relations")
        link = self.link(user_id)
        version, relations = self.relations.get(user_id, (0, None))
        return RelationsRead(link, self._seen(user_id), version, relations)

    async def read_authors(self, author_ids: Sequence[int], depth: int) -> dict[int, AuthorRead]:
        await self._begin("read_authors")
        answer = {}
        for author in author_ids:
            if self.node_of(author) in self.down:
                continue
            exists, ids, reached, whole = _slice(self.authors.get(author), 0, depth)
            answer[author] = AuthorRead(self.link(author), exists, ids, reached, whole and reached)
        return answer

    async def begin_home(self, user_id: int, token: int) -> Link | None:
        await self._begin("begin_home")
        link = self.link(user_id)
        if any(id_ < 0 for id_ in self.homes.get(user_id, ())):
            return None
        self.homes[user_id] = [token]
        self.built_under.pop(user_id, None)
        return link

    async def finish_home(
        self, user_id: int, token: int, ids: Sequence[int], whole: bool, version: int, link: Link, built_ms: int
    ) -> bool:
        await self._begin("finish_home")
        if not self.is_current(link) or not _finish(self.homes, user_id, token, ids, whole):
            return False
        self.built_under[user_id], self.built_ms[user_id] = version, built_ms
        return True

    async def read_heads(self, user_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        await self._begin("read_heads")
        return {id_: tuple(self.homes.get(id_, ()))[:16] for id_ in user_ids if self.node_of(id_) not in self.down}

    async def read_history(self, user_id: int) -> HistoryRead | None:
        await self._begin("read_history")
        self.link(user_id)
        return self.histories.get(user_id)

    async def store_history(self, user_id: int, relations_seen: bytes, history: HistoryRead) -> bool:
        await self._begin("store_history")
        self.link(user_id)
        if self._seen(user_id) != relations_seen:
            return False
        self.histories[user_id] = history
        return True

    async def begin_authors(self, author_ids: Sequence[int], token: int) -> dict[int, Link]:
        await self._begin("begin_authors")
        begun: dict[int, Link] = {}
        for author in author_ids:
            if self.node_of(author) in self.down or any(id_ < 0 for id_ in self.authors.get(author, ())):
                continue
            self.authors[author], begun[author] = [token], self.link(author)
        return begun

    async def finish_authors(self, lists: Sequence[LoadedList], token: int) -> frozenset[int]:
        await self._begin("finish_authors")
        return frozenset(
            one.author_id
            for one in lists
            if self.is_current(one.link) and _finish(self.authors, one.author_id, token, one.ids, one.whole)
        )

    async def store_relations(self, user_id: int, over: RelationsRead, relations: Relations) -> bool:
        await self._begin("store_relations")
        if not self.is_current(over.link):
            raise CacheUnavailable
        if self._seen(user_id) != over.seen:
            return False
        self.relations[user_id] = (relations.version, relations)
        return True

    def _seen(self, user_id: int) -> bytes | None:
        return str(self.relations[user_id]).encode() if user_id in self.relations else None

    async def place_own(self, author_id: int, tweet_id: int) -> None:
        await self._begin("place_own")
        self.link(author_id)
        self.place(self.authors, author_id, tweet_id)
        self.place(self.homes, author_id, tweet_id)

    def push(self, user_id: int, tweet_id: int) -> None:
        """The plain push: on top of a list that is there, wherever the id belongs."""
        if user_id in self.homes:
            self.homes[user_id].insert(0, tweet_id)

    def place(self, lists: dict[int, list[int]], key: int, tweet_id: int) -> None:
        """The in-place script: only into a list that is there, in order in front of a token, never twice."""
        ids = lists.get(key)
        if ids is None or tweet_id in ids:
            return
        at = next((at for at, id_ in enumerate(ids) if id_ < tweet_id), len(ids))
        if at == len(ids):
            return  # below the floor of a list without end mark
        ids.insert(at, tweet_id)
        if lists is self.homes and len(ids) > HOME_TRIM_AT:
            del ids[HOME_KEPT:]

    # --- bodies, removals, bell -------------------------------------------------------------------------------

    async def get_bodies(self, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        await self._begin("get_bodies")
        return {id_: self.bodies[id_] for id_ in tweet_ids if id_ in self.bodies and self.node_of(id_) not in self.down}

    def fill_mark(self) -> FillMark:
        return FillMark(0.0, {})

    async def fill_bodies(self, bodies: Mapping[int, bytes], mark: FillMark) -> None:
        for id_, body in bodies.items():
            if self.node_of(id_) not in self.down:
                self.bodies.setdefault(id_, body)

    async def mark_deleted(self, tweet_id: int) -> bool:
        await self._begin("mark_deleted")
        if self.node_of(tweet_id) in self.down:
            return False
        self.bodies[tweet_id] = b""
        return True

    async def stub_relations(self, user_id: int, version: int, change: int | None = None) -> bool:
        await self._begin("stub_relations")
        if self.node_of(user_id) in self.down:
            return False
        old, _ = self.relations.get(user_id, (0, None))
        self.relations[user_id] = (max(old + 1, version), None)
        self.homes.pop(user_id, None)
        self.built_under.pop(user_id, None)
        self.histories.pop(user_id, None)
        return True

    # --- profiles ---------------------------------------------------------------------------------------------

    async def read_profiles(self, user_ids: Sequence[int]) -> dict[int, ProfileRead]:
        await self._begin("read_profiles")
        here = [id_ for id_ in user_ids if self.node_of(id_) not in self.down]
        return {id_: self._profile(id_) for id_ in here}

    def _profile(self, user_id: int) -> ProfileRead:
        return ProfileRead(self.link(user_id), self._seen_profile(user_id), self.profiles.get(user_id, (0, None))[1])

    def _seen_profile(self, user_id: int) -> bytes | None:
        return str(self.profiles[user_id]).encode() if user_id in self.profiles else None

    async def store_profiles(self, values: Mapping[int, tuple[ProfileRead, bytes]]) -> None:
        await self._begin("store_profiles")
        for user_id, (over, value) in values.items():
            if self.is_current(over.link) and self._seen_profile(user_id) == over.seen:
                self.profiles[user_id] = (self.profiles.get(user_id, (0, None))[0], value)

    async def stub_profile(self, user_id: int, version: int) -> bool:
        await self._begin("stub_profile")
        if self.node_of(user_id) in self.down:
            return False
        self.profiles[user_id] = (version, None)
        return True

    def ring(self, shard: int, event: bytes) -> None:
        self.rung.append((shard, event))


def _slice(ids: list[int] | None, start: int, count: int) -> tuple[bool, tuple[int, ...], bool, bool]:
    if ids is None or any(id_ < 0 for id_ in ids):
        return False, (), False, False
    entries = [id_ for id_ in ids if id_ != END]
    return True, tuple(entries[start : start + count]), start + count >= len(entries), END in ids


def _finish(lists: dict[int, list[int]], key: int, token: int, ids: Sequence[int], whole: bool) -> bool:
    standing = lists.get(key)
    if standing is None or token not in standing:
        return False
    standing.remove(token)
    standing += [id_ for id_ in ids if id_ not in standing] + [END] * whole
    if not ids and not whole:
        del lists[key]  # it could claim nothing
    return key in lists
