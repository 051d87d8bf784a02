"""The client without an event loop offers what the other one does."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator

import pytest

from rookery.client import Client
from rookery.sync import Client as SyncClient
from rookery.sync import _Loop

RAW_PAGES = {name for name in dir(Client) if name.startswith("list_") and name.endswith("_page")}
"""Requests as messages: there are iterators for them."""


def _offered(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    assert _offered(SyncClient) == _offered(Client) - RAW_PAGES


@pytest.mark.parametrize("name", sorted(_offered(SyncClient)))
def test_their_arguments_are_the_same_but_for_the_time(name: str) -> None:
    ours = inspect.signature(getattr(SyncClient, name)).parameters
    theirs = inspect.signature(getattr(Client, name)).parameters
    assert list(ours) == [argument for argument in theirs if argument != "timeout_s"]


def test_an_iterator_left_half_way_ends_what_it_iterates() -> None:
    ended = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            ended.append(True)

    loop = _Loop()
    taken = loop.iterate(numbers())
    assert [next(taken), next(taken)] == [0, 1]
    taken.close()  # type: ignore[attr-defined]
    assert ended == [True]
    loop.stop()
