"""What pages may claim: lists by the watermarks of every node, read before the lists they vouch for; rows by the clock.

See docs/protocols/claim.md.  A claim is the least mark over all shards of the log and all nodes, always: a home list on
one node was built from author lists on others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rookery_server.cache.interface import Link, Marks, Watermarks
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import (
    BUILD_STORE_WITHIN_S,
    CLOCK_BOUND_MS,
    MARKS_GOOD_FOR_S,
    MARKS_PERIOD_S,
    WATERMARK_LAG_MS,
)
from rookery_server.domain.minting import ClockView
from rookery_server.services.coalesced import Coalesced

_ALL = 0
BUILT_WITHIN_MS = round(BUILD_STORE_WITHIN_S * 1000) + 2 * CLOCK_BOUND_MS
"""A list is stored at most so long after its build began, by the clock of any other server."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The marks of all nodes at one time, `read_ms` by this process's clock (Unix ms, before they were read).

    `claim_ms`: the least of them, 0 when any node could not be reached, is not known, or lacks a shard.  `links`: the
    connections over which known nodes answered.
    """

    claim_ms: int = 0
    links: Mapping[str, Link] = field(default_factory=dict)
    read_ms: int = 0

    def vouches_for(self, links: Iterable[Link]) -> bool:
        """Whether all these connections are the ones over which marks were read before, from nodes that are known."""
        return all(self.links.get(link.node) == link for link in links)

    def claim_for(self, links: Iterable[Link]) -> int:
        """What lists read over `links` *after* this snapshot may claim, Unix ms; 0 = nothing."""
        return self.claim_ms if self.vouches_for(links) else 0


def least(marks: Mapping[str, Marks | None], shards: int) -> int:
    """The least mark over all nodes and shards; 0 when one is missing anywhere."""
    lowest: int | None = None
    for node in marks.values():
        if node is None or not node.known or any(shard not in node.marks for shard in range(shards)):
            return 0
        of_node = min(node.marks[shard] for shard in range(shards))
        lowest = of_node if lowest is None else min(lowest, of_node)
    return lowest or 0


class ClaimTracker:
    """Reads the marks of every node again and again; whoever reads a list takes a snapshot before.  `gate`: whether
    this process's clock agrees with the others'."""

    def __init__(self, cache: Watermarks, shards: int, clock: Clock, gate: ClockView):
        self._cache, self._shards, self._clock, self._gate = cache, shards, clock, gate
        self._latest: Snapshot | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[Snapshot] | None = None
        self._anew: Coalesced[Snapshot] = Coalesced(self._read_for_all)

    def by_rows_ms(self) -> int:
        """What rows read from here on may claim, Unix ms: all that was acked until no attempt can be under way any
        more; 0 while nobody knows how this process's clock stands to the others' (C11)."""
        return self._clock.now_ms() - WATERMARK_LAG_MS if self._gate.open else 0

    def by_copies_ms(self, snapshot: Snapshot) -> int:
        """What may be claimed, Unix ms, where something was hidden by relations or standings that were read from the
        cache after this snapshot (C13); 0 when a connection has ended since: the next one may have led to a primary
        that lost what the marks speak of."""
        return snapshot.claim_ms if all(map(self._cache.is_current, snapshot.links.values())) else 0

    def may_precede(self, snapshot: Snapshot, built_ms: int) -> bool:
        """Whether these marks may be older than what a list was made of by a build that began at `built_ms` on whatever
        server (C12)."""
        return not self._gate.open or snapshot.read_ms <= built_ms + BUILT_WITHIN_MS

    async def run(self) -> None:
        """Polls each 500 ms until cancelled; started by the wiring."""
        while True:
            await self.refresh()
            await asyncio.sleep(MARKS_PERIOD_S)

    async def snapshot(self) -> Snapshot:
        """The latest one, if the marks were read lately; otherwise they are read now, once for all who ask.

        An old claim is a low claim, but not for ever a true one: after a failover, lists are built of what is left on
        the new primary, before the worker has applied again what it lost, and others than this one vouch for them."""
        if self._latest is not None and self._clock.monotonic() - self._read_at <= MARKS_GOOD_FOR_S:
            return self._latest
        if self._reading is None:
            self._reading = asyncio.create_task(self.refresh())
            self._reading.add_done_callback(self._ended)
        return await asyncio.shield(self._reading)

    def _ended(self, reading: asyncio.Task[Snapshot]) -> None:
        self._reading = None

    async def anew(self) -> Snapshot:
        """Marks read from here on, once for all who ask meanwhile."""
        return (await self._anew.get([_ALL]))[_ALL]

    async def _read_for_all(self, asked: tuple[int, ...]) -> Mapping[int, Snapshot]:
        return dict.fromkeys(asked, await self.refresh())

    async def refresh(self) -> Snapshot:
        """Reads the marks now.  A cache out of reach gives an empty snapshot, which vouches for nothing."""
        began, read_ms = self._clock.monotonic(), self._clock.now_ms()
        try:
            marks = await self._cache.read_marks()
        except CacheUnavailable:
            marks = {}
        links = {node.link.node: node.link for node in marks.values() if node is not None and node.known}
        read = Snapshot(least(marks, self._shards), links, read_ms)
        if self._latest is None or began >= self._read_at:
            self._latest, self._read_at = read, began
        return read
