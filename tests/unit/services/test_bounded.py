"""Bounds that hold, and errors that come through as they are."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.domain.errors import CapReached, StoreUnavailable
from rookery_server.services.bounded import Slots, each


async def test_each_keeps_to_its_limit_and_does_all() -> None:
    running = most = 0
    done: list[int] = []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    await each(range(20), 4, work)
    assert sorted(done) == list(range(20))
    assert most == 4


async def test_each_raises_the_first_error_and_ends_the_rest() -> None:
    ended = asyncio.Event()

    async def work(item: int) -> None:
        if item == 1:
            raise StoreUnavailable
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(StoreUnavailable):
        await each([0, 1], 2, work)
    assert ended.is_set()


async def test_each_of_nothing_is_nothing() -> None:
    async def work(item: int) -> None:
        raise AssertionError

    await each([], 4, work)


async def test_slots_refuse_after_a_moment() -> None:
    slots = Slots(1, wait_s=0.01)
    async with slots.take():
        with pytest.raises(CapReached):
            async with slots.take():
                raise AssertionError
    async with slots.take():
        pass


async def test_a_slot_given_back_goes_to_who_waits() -> None:
    slots = Slots(1, wait_s=30)
    order: list[str] = []

    async def second() -> None:
        async with slots.take():
            order.append("second")

    async with slots.take():
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        order.append("first")
    await waiting
    assert order == ["first", "second"]
