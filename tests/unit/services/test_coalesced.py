"""One read for many, and none from the past."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.services.coalesced import Coalesced


class Truth:
    """Answers only when told to; what it answers is what is true when the read begins."""

    def __init__(self) -> None:
        self.values: dict[int, str] = {}
        self.reads: list[tuple[int, ...]] = []
        self.begins = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def begun(self, reads: int) -> None:
        for _ in range(reads):
            await self.begins.acquire()

    async def load(self, keys: tuple[int, ...]) -> Mapping[int, str]:
        self.reads.append(keys)
        self.begins.release()
        seen = {key: self.values[key] for key in keys if key in self.values}
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return seen


async def test_removal_R10_a_read_begun_before_is_not_shared_with_later_callers() -> None:
    truth = Truth()
    truth.values[1] = "shown"
    reads = Coalesced(truth.load)
    early = asyncio.create_task(reads.get([1]))
    await truth.begun(1)
    truth.values[1] = "removed"
    late = asyncio.create_task(reads.get([1]))
    await asyncio.sleep(0)
    truth.gate.set()
    assert await early == {1: "shown"}
    assert await late == {1: "removed"}


async def test_a_thousand_callers_cost_two_reads() -> None:
    truth = Truth()
    truth.values[1] = "x"
    reads = Coalesced(truth.load)
    callers = [asyncio.create_task(reads.get([1])) for _ in range(1000)]
    await asyncio.sleep(0)
    truth.gate.set()
    assert await asyncio.gather(*callers) == [{1: "x"}] * 1000
    assert truth.reads == [(1,), (1,)]


async def test_other_keys_do_not_wait() -> None:
    truth = Truth()
    truth.values.update({1: "one", 2: "two"})
    reads = Coalesced(truth.load)
    both = asyncio.create_task(reads.get([1, 2]))
    other = asyncio.create_task(reads.get([3, 2]))
    await truth.begun(2)
    assert truth.reads == [(1, 2), (3,)]
    truth.gate.set()
    assert await both == {1: "one", 2: "two"}
    assert await other == {2: "two"}


async def test_a_cancelled_caller_takes_nothing_from_the_others() -> None:
    truth = Truth()
    truth.values[1] = "x"
    reads = Coalesced(truth.load)
    first, second = asyncio.create_task(reads.get([1])), asyncio.create_task(reads.get([1]))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    third = asyncio.create_task(reads.get([1]))
    await asyncio.sleep(0)
    truth.gate.set()
    assert await third == {1: "x"}
    assert first.cancelled()


async def test_an_error_reaches_everybody_and_is_over() -> None:
    truth = Truth()
    truth.error = StoreUnavailable()
    truth.gate.set()
    reads = Coalesced(truth.load)
    with pytest.raises(StoreUnavailable):
        await reads.get([1])
    truth.error, truth.values[1] = None, "x"
    assert await reads.get([1]) == {1: "x"}


async def test_nothing_asked_is_nothing_read() -> None:
    truth = Truth()
    assert await Coalesced(truth.load).get([]) == {}
    assert truth.reads == []
