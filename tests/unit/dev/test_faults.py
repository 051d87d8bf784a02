"""How a fault waits until everything runs again."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from rookery_server.dev import faults
from rookery_server.dev.faults import Faults


async def _nothing() -> None:
    pass


@pytest.fixture
def until() -> Callable[..., Any]:
    stack: Any = SimpleNamespace(cassandra=(), valkey=())
    return Faults(stack, [], cast("Any", None), random.Random(1), cast("Any", None), 1, _nothing)._until


async def test_of_who_does_not_answer_nothing_is_known_yet(until: Callable[..., Any]) -> None:
    answers: list[Any] = [redis.TimeoutError("busy"), TimeoutError("busy"), ConnectionRefusedError(), False, True]

    def met() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    await until(met)
    assert answers == []


async def test_what_never_comes_true_ends_the_wait(until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "HEAL_S", 0.01)
    with pytest.raises(TimeoutError):
        await until(lambda: False)
