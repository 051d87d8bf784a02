"""`following`, the truth of every edge, and `followers`, its mirror."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain import limits
from rookery_server.domain.events import Event
from rookery_server.domain.models import Edge
from rookery_server.store.cassandra import buckets
from rookery_server.store.cassandra.outbox import OutboxTables
from rookery_server.store.cassandra.session import Values
from rookery_server.store.cassandra.statements import Statement, read, write
from rookery_server.store.cassandra.states import ON, state_and_life
from rookery_server.store.interface import FollowersPage

EDGE_GET = read("edge_get", "SELECT state, version FROM following WHERE follower_id = ? AND followee_id = ?")
FOLLOWING_PAGE = read(
    "following_page",
    "SELECT followee_id, state, version FROM following WHERE follower_id = ? AND followee_id > ? LIMIT ?",
)
FOLLOWERS_PAGE = read(
    "followers_page",
    "SELECT follower_id, state FROM followers WHERE followee_id = ? AND shard = ? AND follower_id > ? LIMIT ?",
)
FOLLOWING_PUT = write(
    "following_put",
    "INSERT INTO following (follower_id, followee_id, shard, state, version) VALUES (?, ?, ?, ?, ?)"
    " USING TIMESTAMP ? AND TTL ?",
)
FOLLOWERS_PUT = write(
    "followers_put",
    "INSERT INTO followers (followee_id, shard, follower_id, state, version) VALUES (?, ?, ?, ?, ?)"
    " USING TIMESTAMP ? AND TTL ?",
)
STATEMENTS = (EDGE_GET, FOLLOWING_PAGE, FOLLOWERS_PAGE, FOLLOWING_PUT, FOLLOWERS_PUT)


class GraphTables(OutboxTables):
    async def edge(self, follower_id: int, followee_id: int) -> Edge | None:
        rows = await self._session.execute(EDGE_GET, (follower_id, followee_id))
        return Edge(follower_id, followee_id, rows[0][0] == ON, rows[0][1]) if rows else None

    async def edges(self, follower_id: int, followee_ids: Sequence[int]) -> dict[int, Edge]:
        unique = list(dict.fromkeys(followee_ids))
        answers = await self._session.execute_many(EDGE_GET, [(follower_id, followee) for followee in unique])
        return {
            followee: Edge(follower_id, followee, rows[0][0] == ON, rows[0][1])
            for followee, rows in zip(unique, answers, strict=True)
            if rows
        }

    async def write_edge(self, edge: Edge, event: Event) -> None:
        shard = buckets.FOLLOWER_SHARD
        writes = (_truth(edge, shard), _mirror(edge, shard), self.outbox_put(event))
        await self._session.batch("edge_batch", writes)

    async def repair_mirror(self, edge: Edge) -> None:
        for shard in buckets.FOLLOWER_SHARDS:
            await self._session.execute(*_mirror(edge, shard))

    async def cut_edge(self, edge: Edge) -> None:
        mirrors = [_mirror(edge, shard) for shard in buckets.FOLLOWER_SHARDS]
        await self._session.batch("cut_batch", (_truth(edge, buckets.FOLLOWER_SHARD), *mirrors))

    async def following(self, follower_id: int) -> tuple[Edge, ...]:
        edges: list[Edge] = []
        after = -1
        while True:
            rows = await self._session.execute(FOLLOWING_PAGE, (follower_id, after, limits.ROWS_A_PAGE))
            edges.extend(Edge(follower_id, followee, state == ON, version) for followee, state, version in rows)
            if len(rows) < limits.ROWS_A_PAGE:
                return tuple(edges)
            after = rows[-1][0]

    async def followers(self, followee_id: int, after: int | None, limit: int) -> FollowersPage:
        above = -1 if after is None else after
        answers = await self._session.execute_many(
            FOLLOWERS_PAGE, [(followee_id, shard, above, limit) for shard in buckets.FOLLOWER_SHARDS]
        )
        removed = {follower for rows in answers for follower, state in rows if state != ON}
        ids, next_after = buckets.merge_shards([[row[0] for row in rows] for rows in answers], limit)
        return FollowersPage(tuple(id_ for id_ in ids if id_ not in removed) if removed else ids, next_after)


def _truth(edge: Edge, shard: int) -> tuple[Statement, Values]:
    state, life = state_and_life(edge.on)
    return FOLLOWING_PUT, (
        edge.follower_id, edge.followee_id, shard, state, edge.version_us, edge.version_us, life,
    )  # fmt: skip


def _mirror(edge: Edge, shard: int) -> tuple[Statement, Values]:
    state, life = state_and_life(edge.on)
    return FOLLOWERS_PUT, (
        edge.followee_id, shard, edge.follower_id, state, edge.version_us, edge.version_us, life,
    )  # fmt: skip
