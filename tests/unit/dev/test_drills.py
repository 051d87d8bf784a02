"""What a drill tells, from openings and pages that a test makes up."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from unittest.mock import create_autospec

import grpc
import pytest

from rookery import Client, errors
from rookery.v1 import timelines_pb2
from rookery_server.dev import drills, openings
from rookery_server.dev.drills import Drill
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.openings import Calm, Opening
from rookery_server.dev.pages import Page, Post, Scroll, now_ms
from tests.support.hand_clock import HandClock

CLOCK = HandClock()
"""Of all drills here: time passes when they wait."""


async def _wait(seconds: float) -> None:
    CLOCK.advance(seconds)


@pytest.fixture(autouse=True)
def time_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drills, "time", CLOCK)
    monkeypatch.setattr(asyncio, "sleep", _wait)


def drill(monkeypatch: pytest.MonkeyPatch) -> Drill:
    monkeypatch.setattr(drills, "CALM_S", 0.2)
    monkeypatch.setattr(drills, "HEAL_S", 1.0)
    monkeypatch.setattr(openings, "WINDOW_S", 0.2)
    monkeypatch.setattr(openings, "OPENINGS_AT_LEAST", 2)
    client: Any = create_autospec(Client, instance=True)
    client.acting_as.return_value = client
    made = Drill(client, client, random.Random(1), "d")
    made._sources = {1: frozenset({1, 2})}
    return made


def opened(of: Drill, first_s: float, last_s: float, *, age_s: float | None = 6.0, hit: bool = True) -> None:
    """Ten a second, so many seconds from now."""
    now = CLOCK.monotonic()
    of._openings.all += [Opening(now + at / 20, hit, age_s) for at in range(round(first_s * 20), round(last_s * 20))]


def shown(*ids: int, source: int = 1, degraded: bool = False) -> Scroll:
    now = now_ms()
    texts = tuple(f"post {id_}" for id_ in ids)
    page = Page(None, ids, (2,) * len(ids), texts, now, False, degraded, False, source, now, 0.01)
    return Scroll(1, [page])


def answer(source: int, claimed_ms: int) -> timelines_pb2.GetHomeTimelineResponse:
    reply = timelines_pb2.GetHomeTimelineResponse()
    reply.info.source = source  # type: ignore[assignment]
    reply.info.complete_through.FromMilliseconds(claimed_ms)
    return reply


async def test_calm_is_claims_and_hits_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    opened(town, -0.5, 0.5)
    assert await town.calm() == Calm(True, True)


@pytest.mark.parametrize("age_s", [None, 11.0])
async def test_old_claims_are_no_calm(monkeypatch: pytest.MonkeyPatch, age_s: float | None) -> None:
    town = drill(monkeypatch)
    opened(town, -0.5, 1.5, age_s=age_s)
    assert await town.calm() == Calm(False, True)


async def test_lists_built_again_and_again_are_no_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    opened(town, -0.5, 1.5, hit=False)
    assert await town.calm() == Calm(True, False)


@pytest.mark.parametrize(
    ("source", "hit"),
    [("LIST", True), ("BUILD", False), ("MERGE", False), ("HISTORY", False)],
)
async def test_only_a_page_of_a_cached_list_is_a_hit(monkeypatch: pytest.MonkeyPatch, source: str, hit: bool) -> None:
    town = drill(monkeypatch)
    value = timelines_pb2.PageSource.Value(f"PAGE_SOURCE_{source}")
    town._opening.home_page.return_value = answer(value, now_ms() - 6000)  # type: ignore[attr-defined]
    await town._open(1)
    (one,) = town._openings.all
    assert one.hit is hit
    assert one.claim_age_s == pytest.approx(6.0, abs=0.5)
    assert town._tally.reads == 1


async def test_a_home_that_is_not_answered_is_neither_hit_nor_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    town._opening.home_page.side_effect = errors.Unavailable("away", code=grpc.StatusCode.UNAVAILABLE)  # type: ignore[attr-defined]
    await town._open(1)
    (one,) = town._openings.all
    assert (one.hit, one.claim_age_s, town._tally.refused) == (False, None, 1)


async def test_a_page_that_claims_nothing_has_no_age(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    town._opening.home_page.return_value = answer(1, 0)  # type: ignore[attr-defined]
    await town._open(1)
    assert [one.claim_age_s for one in town._openings.all] == [None]


async def test_a_page_that_lacks_what_it_claims_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    before = now_ms() - 1000
    town._posts = [Post(id_, 2, before, before, f"post {id_}") for id_ in (7, 8)]
    town._scrolls = [shown(8, 7)]
    assert town.now().wrong == 0
    town._scrolls = [shown(8)]
    assert town.now().wrong == 1


async def test_a_round_tells_when_it_was_put_back_and_when_claims_and_hits_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = drill(monkeypatch)
    opened(town, -1.0, 0.0)

    async def fault() -> str:
        opened(town, 0.05, 0.15, age_s=30.0, hit=False)
        opened(town, 0.15, 2.0)
        town._tally.refused = 1
        for made in (shown(8), shown(8, source=2), shown(8, source=4, degraded=True)):
            town._tally.answered(made.pages[0])
        return "the cellar"

    told = await town.suffer("flood", fault)
    assert (told.name, told.detail, told.recovered, told.worst_claim_s) == ("flood", "the cellar", True, 30.0)
    assert 0 < told.back_s < told.hits_back_s < 0.6
    assert (told.hits_before, told.hits_recovered) == (1.0, True)
    assert told.hits_least is not None
    assert told.hits_least < 0.9
    assert (told.reads, told.read_share, told.degraded) == (4, 0.75, 1)
    assert told.sources == {"list": 1, "build": 1, "merge": 1}
    assert told.passed


async def test_hits_that_do_not_come_back_fail_the_round_though_claims_do(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    opened(town, -1.0, 0.0)

    async def fault() -> str:
        opened(town, 0.05, 2.0, hit=False)
        return "the cellar"

    told = await town.suffer("flood", fault)
    assert (told.recovered, told.hits_recovered, told.passed) == (True, False, False)


async def test_engines_that_do_not_come_back_end_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault() -> str:
        raise TimeoutError

    with pytest.raises(LocalClusterError, match="did not come back"):
        await drill(monkeypatch).suffer("flood", fault)
