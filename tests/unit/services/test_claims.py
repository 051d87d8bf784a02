"""Claims: the least of all marks, and only for the connections they were read over."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.cache.interface import Link, Marks
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.limits import MARKS_GOOD_FOR_S, WATERMARK_LAG_MS
from rookery_server.services.claims import ClaimTracker, least
from tests.support.hand_clock import HandGate
from tests.unit.services.clocks import TestClock

A, B = Link("a", 1), Link("b", 7)


def _marks(link: Link, *values: int) -> Marks:
    return Marks(link, True, dict(enumerate(values)))


class Nodes:
    def __init__(self, **nodes: Marks | None):
        self.nodes: dict[str, Marks | None] = nodes
        self.away = False
        self.reads = 0

    async def read_marks(self) -> dict[str, Marks | None]:
        self.reads += 1
        if self.away:
            raise CacheUnavailable
        return self.nodes

    def is_current(self, link: Link) -> bool:
        return True


def test_the_least_mark_over_all_shards_and_nodes() -> None:
    assert least({"a": _marks(A, 30, 20), "b": _marks(B, 25, 40)}, 2) == 20


@pytest.mark.parametrize(
    "other",
    [None, Marks(B, False), _marks(B, 25), Marks(B, True, {1: 40, 2: 40})],
    ids=["not reached", "not known", "a shard short", "another shard"],
)
def test_one_missing_mark_claims_nothing(other: Marks | None) -> None:
    assert least({"a": _marks(A, 30, 20), "b": other}, 2) == 0


def test_no_nodes_claim_nothing() -> None:
    assert least({}, 2) == 0


async def test_a_claim_belongs_to_the_connections_it_was_read_over() -> None:
    tracker = ClaimTracker(Nodes(a=_marks(A, 30), b=_marks(B, 25)), 1, TestClock(), HandGate())
    snapshot = await tracker.snapshot()
    assert snapshot.claim_for([A, B]) == 25
    assert snapshot.claim_for([]) == 25
    assert snapshot.claim_for([A, Link("b", 8)]) == 0
    assert snapshot.claim_for([Link("c", 1)]) == 0


async def test_a_node_that_is_not_known_is_not_vouched_for() -> None:
    snapshot = await ClaimTracker(Nodes(a=_marks(A, 30), b=Marks(B, False)), 1, TestClock(), HandGate()).snapshot()
    assert snapshot.vouches_for([A])
    assert not snapshot.vouches_for([A, B])
    assert snapshot.claim_for([A]) == 0


async def test_a_cache_out_of_reach_vouches_for_nothing() -> None:
    nodes = Nodes(a=_marks(A, 30))
    tracker = ClaimTracker(nodes, 1, TestClock(), HandGate())
    assert (await tracker.snapshot()).claim_for([A]) == 30
    nodes.away = True
    assert not (await tracker.refresh()).links
    assert (await tracker.snapshot()).claim_for([A]) == 0


async def test_a_snapshot_reads_only_if_nobody_did() -> None:
    nodes = Nodes(a=_marks(A, 30))
    tracker = ClaimTracker(nodes, 1, TestClock(), HandGate())
    await tracker.snapshot()
    await tracker.snapshot()
    assert nodes.reads == 1
    await tracker.refresh()
    assert nodes.reads == 2


async def test_claim_C10_marks_are_read_again_when_they_are_old_once_for_all_who_ask() -> None:
    nodes, clock = Nodes(a=_marks(A, 30)), TestClock()
    tracker = ClaimTracker(nodes, 1, clock, HandGate())
    await tracker.snapshot()
    clock.advance(int(MARKS_GOOD_FOR_S * 1000))
    await tracker.snapshot()
    assert nodes.reads == 1
    clock.advance(1)
    await asyncio.gather(*(tracker.snapshot() for _ in range(10)))
    assert nodes.reads == 2


def test_claim_C11_rows_claim_nothing_while_the_clock_is_in_doubt() -> None:
    clock, gate = TestClock(), HandGate()
    tracker = ClaimTracker(Nodes(), 1, clock, gate)
    assert tracker.by_rows_ms() == clock.now_ms() - WATERMARK_LAG_MS
    gate.open = False
    assert tracker.by_rows_ms() == 0


async def test_claim_C12_marks_read_from_now_on_are_read_once_for_all_who_ask_meanwhile() -> None:
    begun = asyncio.Event()

    class Slow(Nodes):
        async def read_marks(self) -> dict[str, Marks | None]:
            begun.set()
            found = await super().read_marks()
            await asyncio.sleep(0.01)
            return found

    nodes = Slow(a=_marks(A, 30))
    tracker = ClaimTracker(nodes, 1, TestClock(), HandGate())
    first = asyncio.create_task(tracker.anew())
    await begun.wait()
    others = [asyncio.create_task(tracker.anew()) for _ in range(5)]
    assert {read.claim_ms for read in await asyncio.gather(first, *others)} == {30}
    assert nodes.reads == 2, "the first one's had begun"
