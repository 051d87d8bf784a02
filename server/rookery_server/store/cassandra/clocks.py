"""What the coordinators' clocks say, against ours."""

from __future__ import annotations

import asyncio

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.store.cassandra.session import CassandraSession, Node
from rookery_server.store.cassandra.statements import ask_node

CLOCK = ask_node("clock", "SELECT toUnixTimestamp(now()) FROM system.local")
STATEMENTS = (CLOCK,)

_COORDINATORS = 3  # a median of three bears one wrong clock
_CLOCK_S = 1.0  # a node that answers later tells nothing about its clock


class Clocks:
    _session: CassandraSession
    _clock: Clock

    async def coordinator_clocks_ms(self) -> tuple[int, ...]:
        nodes = self._session.nodes()[:_COORDINATORS]
        answers = await asyncio.gather(*map(self._offset_ms, nodes))
        offsets = tuple(offset for offset in answers if offset is not None)
        if not offsets:
            raise StoreUnavailable("no coordinator tells the time")
        return offsets

    async def _offset_ms(self, node: Node) -> int | None:
        """None from a node that does not answer in time."""
        started, before = self._clock.monotonic(), self._clock.now_ms()
        try:
            async with asyncio.timeout(_CLOCK_S):
                rows = await self._session.execute(CLOCK, node=node)
        except (StoreUnavailable, TimeoutError):
            return None
        after = self._clock.now_ms()
        if self._clock.monotonic() - started > _CLOCK_S:
            return None  # it was this process that stood still, past its own time-out
        return int(rows[0][0]) - (before + after) // 2
