"""What a drill says and how it ends, from faults that a test makes up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rookery_server.cli import drill
from rookery_server.cli.app import app
from rookery_server.dev.attached import AttachedStack
from rookery_server.dev.rounds import Round

GOOD = Round(
    name="primary killed",
    detail="valkey-7",
    healed_s=5.0,
    back_s=8.0,
    recovered=True,
    worst_claim_s=None,
    hits_before=1.0,
    hits_least=0.6,
    hits_back_s=6.5,
    hits_recovered=True,
    reads=1000,
    read_share=0.999,
    pages=990,
    sources={"list": 900, "merge": 99},
    degraded=99,
    wrong=0,
    first_wrong=(),
)


def drilled(monkeypatch: pytest.MonkeyPatch, *rounds: Round, words: tuple[str, ...] = ()) -> Any:
    async def run(*_: object) -> list[Round]:
        return list(rounds)

    monkeypatch.setattr(drill, "attach", lambda name: AttachedStack(name, Path(), (), (), (), ()))
    monkeypatch.setattr(drill, "_run", run)
    return CliRunner().invoke(app, [*words, "admin", "drill", "--seed", "7"])


def test_a_drill_that_passes_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drilled(monkeypatch, GOOD).exit_code == 0


@pytest.mark.parametrize("worse", [{"recovered": False}, {"hits_recovered": False}, {"wrong": 1}])
def test_a_drill_in_which_one_fault_does_not_pass_ends_with_1(monkeypatch: pytest.MonkeyPatch, worse: Any) -> None:
    done = drilled(monkeypatch, GOOD, replace(GOOD, **worse), words=("--json",))
    assert done.exit_code == 1
    assert [fault["passed"] for fault in json.loads(done.output)["faults"]] == [True, False]


def test_the_document_tells_when_claims_and_hits_were_back(monkeypatch: pytest.MonkeyPatch) -> None:
    done = drilled(monkeypatch, GOOD, replace(GOOD, hits_back_s=9.5), words=("--json",))
    told = json.loads(done.output)
    assert (told["seed"], told["hits_wanted"], told["hits_window_s"], told["passed"]) == (7, 0.95, 2.0, True)
    assert [fault["hits_back_s"] for fault in told["faults"]] == [6.5, 9.5]
    assert told["faults"][0]["hits_before"] == 1.0
    assert told["least_median_most"]["primary killed"]["hits_back_s"] == [6.5, 8.0, 9.5]
    assert told["least_median_most"]["primary killed"]["claims_back_s"] == [8.0, 8.0, 8.0]


def test_the_summary_tells_when_claims_and_hits_were_back() -> None:
    told = drill.summary(GOOD)
    assert "claims within 10 s again after 8.0 s" in told
    assert "hits 95% again after 6.5 s (100% before, 60% at least)" in told
    assert "99.90% of 1000 reads answered" in told


def test_the_summary_says_what_did_not_come_back() -> None:
    assert "the claims did NOT come back" in drill.summary(replace(GOOD, recovered=False))
    assert "hit ratio did NOT come back to 95%" in drill.summary(replace(GOOD, hits_recovered=False))
    assert "unknown for a moment" in drill.summary(replace(GOOD, hits_least=None))
