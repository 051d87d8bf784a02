"""Time passes only when nobody can run."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_time import Stuck, VirtualTimeLoop, run


def test_an_hour_costs_nothing_and_timers_keep_their_order() -> None:
    loop, woke = VirtualTimeLoop.new(), list[tuple[float, str]]()

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woke.append((loop.time(), name))

    async def main() -> None:
        await asyncio.gather(sleeper("hour", 3600.0), sleeper("second", 1.0), sleeper("minute", 60.0))

    run(main(), loop)
    assert [(round(at, 6), name) for at, name in woke] == [(1.0, "second"), (60.0, "minute"), (3600.0, "hour")]


def test_time_limits_are_virtual() -> None:
    loop = VirtualTimeLoop.new()

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await asyncio.sleep(31.0)
        return loop.time()

    assert run(main(), loop) == pytest.approx(30.0)


def test_a_deadlock_is_told() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        run(main(), VirtualTimeLoop.new())


def test_what_is_left_is_ended() -> None:
    loop, ended = VirtualTimeLoop.new(), list[str]()

    async def left() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("left")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(left())
        await asyncio.sleep(1.0)
        return task

    assert run(main(), loop).cancelled()
    assert ended == ["left"]
