"""The page people read is the catalogue."""

from __future__ import annotations

from pathlib import Path

from rookery_server.metrics_catalogue import CATALOGUE
from rookery_server.metrics_docs import render

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m rookery_server.metrics_docs > docs/metrics.md"


def test_every_metric_has_its_row() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows[: len(CATALOGUE)]] == [spec.name for spec in CATALOGUE]
    assert all(row.count(" | ") == 3 for row in rows[: len(CATALOGUE)])
