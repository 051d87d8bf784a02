"""Waiting for what only the outside can tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0


async def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """What the condition (a call, perhaps to be awaited) gives as soon as that is true.  Raises AssertionError after
    `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} never came true")
        await asyncio.sleep(0.02)
