"""Framed tweets by id, and their removal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rookery_server.cache import keys
from rookery_server.cache.interface import FillMark, Link
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.role import Role
from rookery_server.cache.memory.watermarks import own_marks
from rookery_server.domain import limits
from rookery_server.domain.errors import CacheUnavailable


def set_if_absent(node: Node, tweet_id: int, framed: bytes) -> None:
    if node.get(keys.body(tweet_id)) is None:
        node.set(keys.body(tweet_id), framed, limits.BODY_LIFE_S if framed else limits.DELETED_LIFE_S)


def set_deleted(node: Node, tweet_id: int) -> None:
    node.set(keys.body(tweet_id), b"", limits.DELETED_LIFE_S)


class BodiesRole(Role):
    async def get_bodies(self, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}

        async def of_node(wanted: list[int]) -> None:
            try:
                _, bodies = await self._ask(
                    wanted[0], "get_bodies", lambda node: [node.get(keys.body(tweet_id)) for tweet_id in wanted]
                )
            except CacheUnavailable:
                return  # as good as missing
            found.update((id_, body) for id_, body in zip(wanted, bodies, strict=True) if isinstance(body, bytes))

        await asyncio.gather(*map(of_node, self._by_node(dict.fromkeys(tweet_ids)).values()))
        return found

    def fill_mark(self) -> FillMark:
        links = {node: connection.link for node, connection in self._connections.items()}
        return FillMark(self._clock.monotonic(), {node: link for node, link in links.items() if self.is_current(link)})

    async def fill_bodies(self, bodies: Mapping[int, bytes], mark: FillMark) -> None:
        groups = self._by_node(bodies)
        await asyncio.gather(
            *(self._fill(mark.links[node], groups[node], bodies, mark) for node in groups if node in mark.links)
        )

    async def _fill(self, link: Link, tweet_ids: list[int], bodies: Mapping[int, bytes], mark: FillMark) -> None:
        if self._clock.monotonic() - mark.started > limits.FILL_MAX_AGE_S:
            return

        def fill(node: Node) -> None:
            for tweet_id in tweet_ids:
                set_if_absent(node, tweet_id, bodies[tweet_id])

        try:
            await self._over(link, "fill_bodies", fill)
        except CacheUnavailable:
            return  # a fill that fails is forgotten

    # --- removals ---------------------------------------------------------------------------------------------

    async def mark_deleted(self, tweet_id: int) -> bool:
        return await self._settle("mark_deleted", tweet_id, lambda node: set_deleted(node, tweet_id))

    async def _settle(self, operation: str, number: int, overwrite: Callable[[Node], object]) -> bool:
        """On a connection of its own, so that its end is nobody else's."""
        node = self._world.node_of(number)
        try:
            await self._hooks.before(operation, node.name)
            if node.dead:
                return False
            if node.stopped:
                node.backlog.setdefault((id(self), "removals"), []).append(lambda: node.run(overwrite))
                return False
            node.backlog.pop((id(self), "removals"), None)  # a new connection kills its predecessor
            epoch, known = node.epoch, own_marks(node) is not None
            node.run(overwrite)
            confirmed = node.confirmed and known
            await self._hooks.after(operation, node.name)
        except CacheUnavailable:
            return False
        return confirmed and epoch == node.epoch
