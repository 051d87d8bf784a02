"""The pump: everything once, bounded, patient with what passes, at once out with what does not."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from rookery import errors
from rookery_server.cli.loading import pump


async def test_every_item_once_and_never_more_at_a_time_than_asked() -> None:
    done: list[int] = []
    under_way = most = 0

    async def work(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await pump(range(100), work, 7)
    assert sorted(done) == list(range(100))
    assert most == 7


async def test_what_passes_is_tried_again() -> None:
    tries: dict[int, int] = {}

    async def work(item: int) -> None:
        tries[item] = tries.get(item, 0) + 1
        if item == 3 and tries[item] == 1:
            raise errors.Unavailable("busy", code=grpc.StatusCode.UNAVAILABLE)

    await pump(range(5), work, 2)
    assert tries == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1}


async def test_a_refusal_ends_it_as_itself() -> None:
    async def work(item: int) -> None:
        raise errors.InvalidArgument("no", code=grpc.StatusCode.INVALID_ARGUMENT)

    with pytest.raises(errors.InvalidArgument):
        await pump(range(5), work, 2)
