"""Follow edges: `following` is the truth, `followers` its mirror."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain.events import Event
from rookery_server.domain.models import Edge
from rookery_server.store.interface import FollowersPage
from rookery_server.store.memory.cells import Cell, Mutation, Span
from rookery_server.store.memory.role import Role


class GraphRole(Role):
    async def edge(self, follower_id: int, followee_id: int) -> Edge | None:
        cell = await self._row("edge", "following", follower_id, followee_id)
        return None if cell is None else Edge(follower_id, followee_id, cell.value, cell.timestamp_us)

    async def edges(self, follower_id: int, followee_ids: Sequence[int]) -> dict[int, Edge]:
        found = await self._each("edges", "following", ((follower_id, id_) for id_ in followee_ids))
        return {id_: Edge(follower_id, id_, cell.value, cell.timestamp_us) for (_, id_), cell in found.items()}

    async def write_edge(self, edge: Edge, event: Event) -> None:
        cell = self._cell(edge)
        truth = Mutation("following", edge.follower_id, edge.followee_id, cell)
        await self._batch("write_edge", [truth, self._mirror(edge, cell), self._event(event)])

    async def repair_mirror(self, edge: Edge) -> None:
        await self._batch("repair_mirror", [self._mirror(edge, self._cell(edge))])

    async def cut_edge(self, edge: Edge) -> None:
        cell = self._cell(edge)
        truth = Mutation("following", edge.follower_id, edge.followee_id, cell)
        await self._batch("cut_edge", [truth, self._mirror(edge, cell)])

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        rows = await self._rows("following", "following", follower_id)
        return tuple(Edge(follower_id, id_, cell.value, cell.timestamp_us) for id_, cell in rows.items())

    async def followers(self, followee_id: int, after: int | None, limit: int) -> FollowersPage:
        rows = await self._rows("followers", "followers", followee_id, Span(above=after, limit=limit))
        live = tuple(id_ for id_, cell in rows.items() if cell.value)
        return FollowersPage(live, max(rows) if len(rows) == limit else None)

    def _cell(self, edge: Edge) -> Cell:
        return self._state(edge.on, edge.version_us)

    def _mirror(self, edge: Edge, cell: Cell) -> Mutation:
        return Mutation("followers", edge.followee_id, edge.follower_id, cell)
