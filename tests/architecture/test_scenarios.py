"""Every scenario of docs/scenarios.md is shown by a test, where the page says, and every such test is on the page."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "docs/scenarios.md"
SCENARIOS = tuple(f"{number:02}" for number in range(1, 21))
_ROW = re.compile(r"^\| (\d\d) \|(.+)$", re.MULTILINE)
_FILE = re.compile(r"`(tests/[a-z0-9_/]+\.py)`")
_TEST = re.compile(r"test_scenario_(\d\d)_\w+")


def files_named(page: str) -> dict[str, set[str]]:
    """Scenario → the files its line names."""
    return {number: set(_FILE.findall(rest)) for number, rest in _ROW.findall(page)}


def shown_in(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Scenario → the files that have a test of it."""
    found: dict[str, set[str]] = {}
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (named := _TEST.fullmatch(node.name)):
                found.setdefault(named[1], set()).add(path)
    return found


def disagreements(page: str, sources: Mapping[str, str]) -> list[str]:
    named, shown = files_named(page), shown_in(sources)
    found = [f"{number}: no line" for number in SCENARIOS if number not in named]
    found += [f"{number}: no test" for number in SCENARIOS if number not in shown]
    found += [f"{number}: not one of the twenty" for number in sorted((named.keys() | shown.keys()) - {*SCENARIOS})]
    for number in sorted(named.keys() & shown.keys()):
        found += [f"{number}: {path} is not named" for path in sorted(shown[number] - named[number])]
        found += [f"{number}: {path} is not there" for path in sorted(named[number] - sources.keys())]
        if not named[number] & shown[number]:
            found.append(f"{number}: no file named has a test of it")
    return found


def test_every_scenario_is_shown_by_the_test_the_page_names() -> None:
    tests = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    assert disagreements((ROOT / PAGE).read_text(), tests) == []


WHOLE_PAGE = "\n".join(f"| {number} | what must hold | `tests/test_x.py` |" for number in SCENARIOS)
WHOLE_TESTS = "\n".join(f"def test_scenario_{number}_x(): ..." for number in SCENARIOS)


@pytest.mark.parametrize(
    ("page", "sources", "told"),
    [
        (WHOLE_PAGE, {"tests/test_x.py": WHOLE_TESTS}, []),
        (WHOLE_PAGE, {"tests/test_x.py": WHOLE_TESTS.replace("_07_", "_08_")}, ["07: no test"]),
        (WHOLE_PAGE.replace("| 07 |", "| 7 |"), {"tests/test_x.py": WHOLE_TESTS}, ["07: no line"]),
        (
            WHOLE_PAGE,
            {"tests/test_x.py": WHOLE_TESTS + "\nasync def test_scenario_21_x(): ..."},
            ["21: not one of the twenty"],
        ),
        (
            WHOLE_PAGE,
            {"tests/test_x.py": WHOLE_TESTS, "tests/test_y.py": "def test_scenario_07_y(): ..."},
            ["07: tests/test_y.py is not named"],
        ),
        (
            WHOLE_PAGE.replace("| 07 | what must hold | `tests/test_x.py`", "| 07 | x | `tests/test_z.py`"),
            {"tests/test_x.py": WHOLE_TESTS},
            [
                "07: tests/test_x.py is not named",
                "07: tests/test_z.py is not there",
                "07: no file named has a test of it",
            ],
        ),
    ],
)
def test_what_the_page_and_the_tests_disagree_about_is_told(
    page: str, sources: dict[str, str], told: list[str]
) -> None:
    assert disagreements(page, sources) == told
