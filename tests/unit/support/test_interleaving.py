"""The orders of a few tasks: all of them, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import comb

from tests.support.interleaving import Turns, explore


async def test_every_order_is_played_once() -> None:
    seen: list[str] = []

    async def play(turns: Turns, choices: Sequence[str]) -> None:
        order: list[str] = []

        async def work(name: str, steps: int) -> None:
            for _ in range(steps):
                await turns.step(name)
                order.append(name)

        await turns.play({"a": work("a", 3), "b": work("b", 4)}, choices)
        seen.append("".join(order))

    assert await explore(play) == comb(7, 3)
    assert len(set(seen)) == comb(7, 3)
    assert all(sorted(order) == list("aaabbbb") for order in seen)


async def test_an_error_is_an_answer_and_a_task_may_wait_at_two_gates() -> None:
    async def fails() -> None:
        await asyncio.gather(turns.step("a"), turns.step("a"))
        raise ValueError("enough")

    turns = Turns()
    answers = await turns.play({"a": fails()}, [])
    assert isinstance(answers["a"], ValueError)
    assert turns.chosen == ["a", "a"]
