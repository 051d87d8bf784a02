"""Every order in which the steps of a few tasks can follow each other.

A task stops at a gate before each step; when all stand still, one is let through.  A run is what was chosen at each
such moment; from one run follow others, each of which takes another choice at one moment and the same ones before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any


class Turns:
    """The gates of one run.  `chosen`: who was let through, in order; `open_to`: who else could have been."""

    def __init__(self) -> None:
        self.chosen: list[str] = []
        self.open_to: list[tuple[str, ...]] = []
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def step(self, who: str) -> None:
        """Stops until it is one's turn."""
        gate = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(gate)
        await gate

    async def play(self, tasks: Mapping[str, Coroutine[Any, Any, Any]], choices: Sequence[str]) -> dict[str, Any]:
        """Runs the tasks to their ends: by `choices` first, then whoever comes first by name.  Returns what each
        returned, or the error it ended with."""
        running = {name: asyncio.create_task(work) for name, work in tasks.items()}
        while True:
            await _stand_still()
            ready = tuple(sorted(name for name, gates in self._waiting.items() if gates))
            if not ready:
                break
            at = len(self.chosen)
            who = choices[at] if at < len(choices) else ready[0]
            self.chosen.append(who)
            self.open_to.append(ready)
            self._waiting[who].popleft().set_result(None)
        answers = await asyncio.gather(*running.values(), return_exceptions=True)
        return dict(zip(running, answers, strict=True))


async def _stand_still() -> None:
    """Until nobody can run but this task."""
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # noqa: ASYNC110 - nothing tells that a loop is idle
        await asyncio.sleep(0)


async def explore(play: Callable[[Turns, Sequence[str]], Awaitable[None]]) -> int:
    """Calls `play` once for each order there is, each time in a world of its own; how many there were."""
    runs, open_prefixes = 0, [tuple[str, ...]()]
    while open_prefixes:
        prefix, turns = open_prefixes.pop(), Turns()
        await play(turns, prefix)
        runs += 1
        open_prefixes.extend(_others(turns, len(prefix)))
    return runs


def _others(turns: Turns, decided: int) -> Iterator[tuple[str, ...]]:
    for at in range(decided, len(turns.chosen)):
        for other in turns.open_to[at]:
            if other != turns.chosen[at]:
                yield (*turns.chosen[:at], other)
