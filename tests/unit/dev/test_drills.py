"""What a drill tells, from claims and pages that a test makes up."""

from __future__ import annotations

import random
import time
from typing import Any
from unittest.mock import create_autospec

import pytest

from rookery import Client
from rookery_server.dev import drills
from rookery_server.dev.drills import Drill
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.pages import Page, Post, Scroll


def drill(monkeypatch: pytest.MonkeyPatch) -> Drill:
    monkeypatch.setattr(drills, "CALM_S", 0.2)
    monkeypatch.setattr(drills, "HEAL_S", 1.0)
    client: Any = create_autospec(Client, instance=True)
    made = Drill(client, client, (), random.Random(1), "d")
    made._sources = {1: frozenset({1, 2})}
    return made


def claim(of: Drill, age_s: float | None, ago_s: float = 0.0) -> None:
    of._tally.claims.append((time.monotonic() - ago_s, age_s))


def shown(*ids: int) -> Scroll:
    now = drills.now_ms()
    texts = tuple(f"post {id_}" for id_ in ids)
    page = Page(None, ids, (2,) * len(ids), texts, now, False, False, False, 1, now, 0.01)
    return Scroll(1, [page])


async def test_calm_is_claims_that_stay_young(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    for ago_s in (0.4, 0.15, 0.05, -0.05, -0.15):
        claim(town, 6.0, ago_s)
    assert await town.calm()


@pytest.mark.parametrize("age_s", [None, 11.0])
async def test_one_old_claim_is_no_calm(monkeypatch: pytest.MonkeyPatch, age_s: float | None) -> None:
    town = drill(monkeypatch)
    for at in range(30):
        claim(town, age_s, 0.4 - at * 0.05)
    assert not await town.calm()


async def test_a_page_that_lacks_what_it_claims_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)
    before = drills.now_ms() - 1000
    town._posts = [Post(id_, 2, before, before, f"post {id_}") for id_ in (7, 8)]
    town._scrolls = [shown(8, 7)]
    assert (await town.now()).wrong == 0
    town._scrolls = [shown(8)]
    assert (await town.now()).wrong == 1


async def test_a_round_tells_when_it_was_put_back_and_when_claims_were(monkeypatch: pytest.MonkeyPatch) -> None:
    town = drill(monkeypatch)

    async def fault() -> str:
        claim(town, 30.0, -0.1)
        for at in range(20):
            claim(town, 6.0, -0.2 - at * 0.1)
        town._tally.answered, town._tally.refused = 3, 1
        return "the cellar"

    told = await town.suffer("flood", fault)
    assert (told.name, told.detail, told.recovered, told.worst_claim_s) == ("flood", "the cellar", True, 30.0)
    assert 0 < told.back_s < 1
    assert (told.reads, told.read_share) == (4, 0.75)


async def test_engines_that_do_not_come_back_end_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault() -> str:
        raise TimeoutError

    with pytest.raises(LocalClusterError, match="did not come back"):
        await drill(monkeypatch).suffer("flood", fault)
