"""Requests to follow under a block whose server died half-way: rule E13 of docs/protocols/edge.md."""

from __future__ import annotations

import pytest

from rookery_server.store.memory.hooks import StoreHooks
from tests.support.interleaving import Turns
from tests.unit.services.test_block_races import ALICE, BOB, Dies, Town


class DiesAfter(StoreHooks):
    """The process ends when that was done."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    async def after(self, operation: str) -> None:
        if operation == self._operation:
            raise Dies


@pytest.mark.parametrize(("blocker", "blocked"), [(BOB, ALICE), (ALICE, BOB)])
async def test_edge_E13_whoever_applies_a_block_ends_the_requests_its_server_left(blocker: int, blocked: int) -> None:
    town = Town(Turns())
    town.protect(BOB)
    assert (await town.server().follow(town.call(ALICE), BOB)).requested
    with pytest.raises(Dies):
        await town.server(DiesAfter("write_block")).block(town.call(blocker), blocked)
    assert await town.asks(ALICE, BOB)
    await town.apply_events()
    assert not await town.asks(ALICE, BOB)
    await town.server().unblock(town.call(blocker), blocked)
    await town.apply_events()  # the old block again as well
    assert (await town.server().follow(town.call(ALICE), BOB)).requested
    await town.apply_events()
    assert await town.asks(ALICE, BOB)
