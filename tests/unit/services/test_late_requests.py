"""Requests to follow, and servers that died half-way: rules E13 and E20 of docs/protocols/edge.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.store.memory.hooks import EVERYWHERE, Commit, StoreHooks
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


class LateEdges(StoreHooks):
    """Batches of edges end unknown and commit when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        late = operation == "write_edge"
        return Commit(tuple(() if late else EVERYWHERE for _ in tables), acked=not late)

    def later(self, apply: Callable[[], None]) -> None:
        self.waiting.append(apply)


@pytest.mark.parametrize(("end", "by", "to"), [("deny", BOB, ALICE), ("unfollow", ALICE, BOB)])
async def test_edge_E20_an_approval_that_commits_after_its_request_was_ended_makes_no_follower(
    end: str, by: int, to: int
) -> None:
    town, late = Town(Turns()), LateEdges()
    town.protect(BOB)
    assert (await town.server().follow(town.call(ALICE), BOB)).requested
    with pytest.raises(StoreUnavailable):
        await town.server(late).approve(town.call(BOB), ALICE)
    town.clock.advance(3_000)
    assert (await getattr(town.server(), end)(town.call(by), to)).settled
    for apply in late.waiting:
        apply()
    await town.apply_events()
    assert not await town.follows(ALICE, BOB)
    assert not await town.asks(ALICE, BOB)
