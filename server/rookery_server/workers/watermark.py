"""Where one shard stands in every node: the rules C1 to C5 and C8 of docs/protocols/claim.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from rookery_server.cache.interface import Deliveries, Link, Marks
from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.metrics import Metrics
from rookery_server.workers.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Standing:
    """Within `era` the node holds everything of the shard up to what is settled; `expected` is the W that stands
    there (None: none yet), `since_ms` what it vouches for."""

    era: int
    link: Link
    expected: int | None
    since_ms: int


class ShardMarks:
    """One shard's W in every node.  A node without a standing in its present era is behind."""

    def __init__(self, shard: int, fleet: Fleet, clock: Clock, give_up_s: float, metrics: Metrics) -> None:
        self.shard, self._fleet, self._clock, self._metrics = shard, fleet, clock, metrics
        self._give_up_ms = int(give_up_s * 1000)
        self._standings: dict[str, Standing] = {}
        self._last: dict[str, int] = {}
        """The last W known of each node, behind or not."""
        self._since_ms = clock.now_ms()

    def links(self) -> Mapping[str, Link]:
        """To the nodes that can be reached."""
        return self._fleet.links()

    def behind(self) -> list[str]:
        """Nodes that can be reached and must be recovered."""
        return [node for node in self._fleet.links() if not self._stands(node)]

    def _stands(self, node: str) -> bool:
        standing = self._standings.get(node)
        return standing is not None and standing.era == self._fleet.era(node) and node in self._fleet.links()

    def given_up(self, node: str) -> bool:
        """Behind for so long that W does not wait for it (C8)."""
        last = self._last.get(node, self._since_ms)
        return not self._stands(node) and self._clock.now_ms() - last > self._give_up_ms

    def written(self) -> list[int]:
        """W of every node; empty while one that counts is behind, or none stands: then nothing moves."""
        nodes = [node for node in self._fleet.nodes() if not self.given_up(node)]
        if not nodes or not all(self._stands(node) for node in nodes):
            return []
        return [self._standings[node].since_ms for node in nodes]

    def lowest(self) -> int | None:
        """The lowest W known of any node, reachable or not."""
        return min(self._last.values(), default=None)

    def highest(self) -> int:
        """The highest W any node was seen with: an event below it is late.  0 while none is known."""
        return max(self._last.values(), default=0)

    def stand(self, node: str, era: int, marks: Marks) -> None:
        """The node holds everything again."""
        expected = marks.marks.get(self.shard)
        self._standings[node] = Standing(era, marks.link, expected, self.start_ms(marks))
        self._last[node] = self.start_ms(marks)

    def start_ms(self, marks: Marks) -> int:
        """What a node vouches for as read: its W, or if there is none the moment it was declared empty − 5 s."""
        return marks.marks.get(self.shard, marks.flushed_ms - limits.WATERMARK_LAG_MS)

    def note_read(self, node: str, marks: Marks) -> None:
        """Counts a W that went back or away since it was written."""
        last, found = self._last.get(node), marks.marks.get(self.shard)
        if last is not None and (found is None or found < last):
            cause = "missing" if found is None else "older"
            self._metrics.watermark_regressions(self._fleet.index(node), cause).inc()
        self._last[node] = self.start_ms(marks)

    def moves(self, target_ms: int) -> dict[str, tuple[Link, int | None]]:
        """Nodes whose W is to become `target_ms`, each with the link and the value expected there."""
        if not self.written():
            return {}
        return {
            node: (standing.link, standing.expected)
            for node, standing in self._standings.items()
            if self._stands(node) and (standing.expected is None or standing.expected < target_ms)
        }

    def moved(self, node: str, link: Link, target_ms: int) -> None:
        standing = self._standings.get(node)
        if standing is not None and standing.link == link:
            self._standings[node] = Standing(standing.era, link, target_ms, target_ms)
            self._last[node] = target_ms

    def refused(self, node: str) -> None:
        """Another value stood there: what this worker knew of the node is void."""
        self._standings.pop(node, None)

    def report(self) -> None:
        """Sets the gauges, and forgets nodes that have left the cluster."""
        now, nodes = self._clock.now_ms(), self._fleet.nodes()
        for node in [node for node in self._last if node not in nodes]:
            self._last.pop(node)
            self._standings.pop(node, None)
        for node, last in self._last.items():
            gauge = self._metrics.watermark_lag(self._fleet.index(node), str(self.shard))
            gauge.set(max(0.0, (now - last) / 1000))


async def advance(cache: Deliveries, fleet: Fleet, targets: Mapping[int, tuple[ShardMarks, int]]) -> None:
    """Moves W of many shards, one call a node.  `targets`: shard → (its marks, the new W)."""
    by_link: dict[Link, dict[int, tuple[int | None, int]]] = {}
    for shard, (marks, target_ms) in targets.items():
        for link, expected in marks.moves(target_ms).values():
            by_link.setdefault(link, {})[shard] = expected, target_ms
    await asyncio.gather(*(_advance_node(cache, fleet, targets, link, moves) for link, moves in by_link.items()))


async def _advance_node(
    cache: Deliveries,
    fleet: Fleet,
    targets: Mapping[int, tuple[ShardMarks, int]],
    link: Link,
    moves: Mapping[int, tuple[int | None, int]],
) -> None:
    try:
        done = await cache.advance(link, moves)
    except CacheUnavailable:
        fleet.suspect([link.node], {link.node: link})
        return
    for shard, moved in done.items():
        marks, target_ms = targets[shard]
        if moved:
            marks.moved(link.node, link, target_ms)
        else:
            marks.refused(link.node)
