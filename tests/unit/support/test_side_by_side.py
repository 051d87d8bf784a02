"""Several pytest processes at once, and what their codes say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import side_by_side
from tests.support.side_by_side import NOTHING_SELECTED, together


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0], 0),
        ([0, 1], 1),
        ([2, 1], 2),
        ([0, -9], -9),
        ([0, NOTHING_SELECTED], 0),
        ([NOTHING_SELECTED, 1], 1),
        ([NOTHING_SELECTED, NOTHING_SELECTED], NOTHING_SELECTED),
    ],
)
def test_the_worst_code_counts_and_an_empty_group_does_not(codes: list[int], expected: int) -> None:
    assert together(codes) == expected


def test_a_failure_in_any_group_is_a_failure_and_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "test_good.py", tmp_path / "test_bad.py"
    good.write_text("def test_good(): pass\n")
    bad.write_text("def test_bad(): assert 1 == 2\n")
    assert side_by_side.run([[str(good)], [str(bad)]], ["-q", "-p", "no:cacheprovider"]) == 1
    assert "test_bad" in capfd.readouterr().out
    assert side_by_side.run([[str(bad)], [str(good)]], ["-q", "-p", "no:cacheprovider", "-k", "good"]) == 0


def test_what_finds_no_processor_free_waits_and_is_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / f"test_{name}.py" for name in ("first", "second", "third")]
    for file in files:
        file.write_text("def test_it(): assert 'first' in __file__\n")
    assert side_by_side.run([[str(file)] for file in files], ["-q", "-p", "no:cacheprovider"], at_once=1) == 1
    told = capfd.readouterr().out
    assert told.index("1 passed") < told.index("test_second") < told.index("test_third")
