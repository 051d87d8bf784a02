from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rookery_server.workers.lines import Lines


class Doors:
    """Jobs that wait until their door is opened, and tell when they ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.began: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}

    def job(self, name: str) -> Callable[[], Awaitable[None]]:
        door = self._doors.setdefault(name, asyncio.Event())

        async def run() -> None:
            self.began.append(name)
            await door.wait()
            self.ran.append(name)

        return run

    async def open(self, name: str) -> None:
        self._doors[name].set()
        for _ in range(4):
            await asyncio.sleep(0)


async def test_delivery_D6_jobs_of_one_subject_run_in_order() -> None:
    lines, doors = Lines(), Doors()
    for name in ("a", "b"):
        lines.submit(1, doors.job(name))
    await doors.open("b")
    assert doors.ran == []
    await doors.open("a")
    assert doors.ran == ["a", "b"]


async def test_delivery_D6_subjects_do_not_wait_for_each_other() -> None:
    lines, doors = Lines(), Doors()
    lines.submit(1, doors.job("slow"))
    lines.submit(2, doors.job("quick"))
    await doors.open("quick")
    assert doors.ran == ["quick"]
    await lines.cancel()
    assert doors.ran == ["quick"]


async def test_a_line_that_ran_empty_serves_again() -> None:
    lines, doors = Lines(), Doors()
    for name in ("a", "b"):
        lines.submit(1, doors.job(name))
        await doors.open(name)
    assert doors.ran == ["a", "b"]


async def test_stopping_finishes_what_began_and_drops_the_rest() -> None:
    lines, doors = Lines(), Doors()
    for name in ("begun", "waiting"):
        lines.submit(1, doors.job(name))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(lines.stop())
    await asyncio.sleep(0)
    lines.submit(1, doors.job("late"))
    lines.submit(2, doors.job("later"))
    assert not stopping.done()
    await doors.open("begun")
    await stopping
    assert (doors.began, doors.ran) == (["begun"], ["begun"])
