"""The page people read is the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from rookery_server.config import environment_names, load
from rookery_server.config_docs import reasons, render

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def _rows() -> dict[str, list[str]]:
    """The cells of each setting's row, by its name."""
    rows = [line.strip("| ").split(" | ") for line in render().splitlines() if line.startswith("| `ROOKERY_")]
    return {row[0].strip("`"): row for row in rows}


def test_the_committed_page_is_the_generated_one() -> None:
    run = "run: python -m rookery_server.config_docs > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == render(), run


def test_every_setting_has_its_row() -> None:
    assert sorted(_rows()) == sorted(environment_names())
    assert {len(row) for row in _rows().values()} == {4}


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, reason in reasons().items() if not reason] == []


def test_defaults_are_those_of_an_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    before = load()
    for name, (_, _, default, _) in _rows().items():
        monkeypatch.setenv(name, "" if default == "–" else default.strip("`"))
    assert load() == before


def test_a_bound_is_shown() -> None:
    assert _rows()["ROOKERY_REDIS__WINDOW"][1] == "whole number, ≥ 100, ≤ 100000"
    assert _rows()["ROOKERY_IDENTITY__MODE"][1] == "development, jwt"
