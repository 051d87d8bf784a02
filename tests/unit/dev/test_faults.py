"""How a fault waits until everything runs again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from rookery_server.dev import faults
from rookery_server.dev.faults import Faults
from tests.support.waiting import until


async def _nothing() -> None:
    pass


def of(stack: Any) -> Faults:
    return Faults(stack, [], cast("Any", None), random.Random(1), cast("Any", None), 1, _nothing)


class Sleeper:
    """A node of either engine, and what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop_signal(self) -> None:
        self.told.append("sleep")

    def cont(self) -> None:
        self.told.append("wake up")

    async def itself(self) -> Sleeper:
        return self


@pytest.fixture
def healed() -> Callable[..., Any]:
    return of(SimpleNamespace(cassandra=(), valkey=()))._until


async def test_of_who_does_not_answer_nothing_is_known_yet(healed: Callable[..., Any]) -> None:
    answers: list[Any] = [redis.TimeoutError("busy"), TimeoutError("busy"), ConnectionRefusedError(), False, True]

    def met() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    await healed(met)
    assert answers == []


@pytest.mark.parametrize("kind", ["cassandra stopped", "primary stopped"])
async def test_what_sleeps_when_a_drill_is_interrupted_is_woken_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Sleeper()
    made = of(SimpleNamespace(cassandra=(node, node), valkey=()))
    monkeypatch.setattr(made, "_a_primary", node.itself)
    fault = asyncio.ensure_future(made.kinds[kind]())
    await until(lambda: node.told, "the sleep")
    fault.cancel()
    await asyncio.wait([fault])
    assert node.told == ["sleep", "wake up"]


async def test_what_never_comes_true_ends_the_wait(healed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "HEAL_S", 0.01)
    with pytest.raises(TimeoutError):
        await healed(lambda: False)
