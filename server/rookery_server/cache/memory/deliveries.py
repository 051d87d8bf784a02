"""What workers write, over exactly the links they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import Delivered, Link
from rookery_server.cache.memory.bodies import set_deleted
from rookery_server.cache.memory.lists import entries_of, place_author, place_home
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.placing import Placed, trimmed
from rookery_server.cache.memory.profiles import set_profile_stub
from rookery_server.cache.memory.relations import stub
from rookery_server.cache.memory.role import Role
from rookery_server.domain import ids, limits
from rookery_server.domain.errors import CacheUnavailable


class DeliveriesRole(Role):
    async def open_links(self) -> dict[str, Link]:
        links: dict[str, Link] = {}
        for name, node in self._world.nodes.items():
            try:
                await self._hooks.before("open_links", name)
                links[name] = self._link(node)
            except CacheUnavailable:
                continue
        return links

    def nodes(self) -> frozenset[str]:
        return frozenset(self._world.nodes)

    async def deliver(
        self, tweet_id: int, follower_ids: Sequence[int], links: Mapping[str, Link], in_place: bool
    ) -> Delivered:
        groups = self._by_node(follower_ids)
        parts = await asyncio.gather(
            *(self._deliver_node(tweet_id, groups[name], name, links.get(name), in_place) for name in groups)
        )
        return _sum(parts)

    async def _deliver_node(
        self, tweet_id: int, follower_ids: Sequence[int], name: str, link: Link | None, in_place: bool
    ) -> Delivered:
        """One command a follower, in order: a link that breaks leaves a prefix of them, a refusal a gap."""
        parts = []
        for follower_id in follower_ids:
            part = await self._apply(name, link, "deliver", self._delivery(tweet_id, follower_id, in_place))
            parts.append(part)
            if link is None or not self.is_current(link):
                break
        return _sum(parts)

    def _delivery(self, tweet_id: int, follower_id: int, in_place: bool) -> Callable[[Node], Delivered]:
        def deliver(node: Node) -> Delivered:
            if in_place or not fresh:
                return _placed(place_home(node, follower_id, tweet_id))
            key = keys.home(follower_id)
            entries = entries_of(node, key)
            if entries is None:
                return Delivered(inactive=1)
            node.change(key, trimmed((tweet_id, *entries), limits.HOME_TRIM_AT, limits.HOME_KEPT))
            return Delivered(pushed=1)

        # Asked when it is sent: a push that runs later is late however young its id was.
        fresh = self._clock.now_ms() - ids.time_ms(tweet_id) < limits.PLAIN_PUSH_MS
        return deliver

    async def place_author(self, author_id: int, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        def place_both(node: Node) -> Delivered:
            posts, home = place_author(node, author_id, tweet_id), place_home(node, author_id, tweet_id)
            return _sum((_placed(posts), _placed(home)))

        return await self._to(author_id, links, "place_author", place_both)

    async def overwrite_deleted(self, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        def overwrite(node: Node) -> Delivered:
            set_deleted(node, tweet_id)
            return Delivered(inserted=1)

        return await self._to(tweet_id, links, "overwrite_deleted", overwrite)

    async def overwrite_relations(
        self, user_id: int, version: int, links: Mapping[str, Link], change: int | None = None
    ) -> Delivered:
        def overwrite(node: Node) -> Delivered:
            done = stub(node, user_id, version, change, self._relations_life_s, once=True)
            return Delivered(inserted=1) if done else Delivered(duplicate=1)

        return await self._to(user_id, links, "overwrite_relations", overwrite)

    async def overwrite_profile(self, user_id: int, version: int, links: Mapping[str, Link]) -> Delivered:
        def overwrite(node: Node) -> Delivered:
            set_profile_stub(node, user_id, version)
            return Delivered(inserted=1)

        return await self._to(user_id, links, "overwrite_profile", overwrite)

    async def _to(
        self, number: int, links: Mapping[str, Link], operation: str, command: Callable[[Node], Delivered]
    ) -> Delivered:
        name = self._world.node_of(number).name
        return await self._apply(name, links.get(name), operation, command)

    async def _apply(
        self, name: str, link: Link | None, operation: str, command: Callable[[Node], Delivered]
    ) -> Delivered:
        try:
            return Delivered(behind=frozenset({name})) if link is None else await self._over(link, operation, command)
        except CacheUnavailable:
            return Delivered(behind=frozenset({name}))


def _placed(placed: Placed | None) -> Delivered:
    match placed:
        case Placed.INSERTED:
            return Delivered(inserted=1)
        case Placed.DUPLICATE:
            return Delivered(duplicate=1)
    return Delivered(inactive=1)  # no list, or one that does not reach down so far


def _sum(parts: Sequence[Delivered]) -> Delivered:
    return Delivered(
        pushed=sum(part.pushed for part in parts),
        inserted=sum(part.inserted for part in parts),
        duplicate=sum(part.duplicate for part in parts),
        inactive=sum(part.inactive for part in parts),
        behind=frozenset[str]().union(*(part.behind for part in parts)),
    )
