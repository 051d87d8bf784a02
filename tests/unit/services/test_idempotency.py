"""Request ids: their form, and one attempt for all repeats."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from rookery_server.domain.errors import InvalidArgument, RequestIdReused, StoreUnavailable
from rookery_server.services.idempotency import Repeats, checked_request_id, content_hash
from rookery_server.services.writes import StartedWrites
from tests.unit.services.clocks import Mint, TestClock

KEY = (1, str(uuid.UUID(int=7)))


def _repeats() -> Repeats[int]:
    clock = TestClock()
    return Repeats(StartedWrites(clock, Mint(clock)))


def test_a_uuid_in_any_case() -> None:
    raw = str(uuid.UUID(int=0xABCDEF << 100))
    assert checked_request_id(raw.upper()) == raw


@pytest.mark.parametrize(
    "raw",
    ["7", "x" * 36, str(uuid.UUID(int=7)) + "0", uuid.UUID(int=7).hex, "{" + str(uuid.UUID(int=7)) + "}", "0" * 1024],
)
def test_anything_else_is_refused(raw: str) -> None:
    with pytest.raises(InvalidArgument):
        checked_request_id(raw)


def test_the_hash_tells_where_fields_end() -> None:
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash("a", 1) == content_hash("a", 1)


async def test_repeats_at_once_are_one_write() -> None:
    repeats, written = _repeats(), []

    async def write() -> int:
        await asyncio.sleep(0)
        written.append(1)
        return 42

    assert await asyncio.gather(*(repeats.run(KEY, b"same", write) for _ in range(1000))) == [42] * 1000
    assert written == [1]
    assert repeats.acked(KEY) is not None


async def test_other_content_is_refused_while_the_first_is_under_way() -> None:
    repeats, release = _repeats(), asyncio.Event()

    async def write() -> int:
        await release.wait()
        return 1

    first = asyncio.create_task(repeats.run(KEY, b"same", write))
    await asyncio.sleep(0)
    with pytest.raises(RequestIdReused):
        await repeats.run(KEY, b"other", write)
    release.set()
    assert await first == 1


async def test_a_caller_that_is_gone_ends_nothing() -> None:
    repeats, release, written = _repeats(), asyncio.Event(), asyncio.Event()

    async def write() -> int:
        await release.wait()
        written.set()
        return 1

    caller = asyncio.create_task(repeats.run(KEY, b"same", write))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    release.set()
    await asyncio.wait_for(written.wait(), 5)


async def test_what_failed_is_tried_anew_and_not_remembered() -> None:
    repeats = _repeats()

    async def fail() -> int:
        raise StoreUnavailable

    async def work() -> int:
        return 2

    with pytest.raises(StoreUnavailable):
        await repeats.run(KEY, b"same", fail)
    assert repeats.acked(KEY) is None
    assert await repeats.run(KEY, b"same", work) == 2
