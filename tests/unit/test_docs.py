"""What the pages name exists: files, commands with their options, targets of make, settings and metrics."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import rookery
from rookery_server.cli.app import app
from rookery_server.config import environment_names
from rookery_server.metrics_catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("schema/*.md")])
COMMANDS = typer.main.get_command(app)
OTHERS = {"ROOKERY_DEV_DIR", "ROOKERY_TARGET", "ROOKERY_AS", "ROOKERY_TOKEN"}
"""Names of the environment that are not settings of a process."""
FAMILIES = {"rookery_server", "rookery_test"}

pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _commands(text: str) -> Iterator[list[str]]:
    """Every call of `rookery` in code, inline or in a block, as its words, without remarks and pipes."""
    inline = re.findall(r"`((?:\.venv/bin/)?rookery [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    blocks = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    for line in [*inline, *blocks]:
        if re.match(r"(\.venv/bin/)?rookery ", line):
            plain = re.split(r" [|>] ?| {3,}", line.replace("[", "").replace("]", ""))[0]
            yield shlex.split(plain, comments=True)[1:]


def _wrong_with(words: list[str]) -> str | None:
    """The first word of a command that Rookery does not know, or None."""
    command: Any = COMMANDS
    known = _options(command) | {"--help"}
    for word in words:
        below = getattr(command, "commands", None)
        if word.startswith("-"):
            if word.partition("=")[0] not in known:
                return word
        elif below and word in below:
            command = below[word]
            known |= _options(command)
        elif below and re.fullmatch(r"[a-z][a-z-]*", word):
            return word
    return None


def _options(command: Any) -> set[str]:
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", _read(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pages
def test_every_command_exists(page: Path) -> None:
    wrong = {" ".join(words): word for words in _commands(_read(page)) if (word := _wrong_with(words))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("`rookery admin watermarks`", None),
        ("`rookery --as @ada follow mute bo --hours 24`", None),
        ("`rookery admin watermark`", "watermark"),
        ("`rookery timeline home --size 3`", "--size"),
        ("```sh\nrookery dev start  # no such thing\n```", "start"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, wrong: str | None) -> None:
    (words,) = _commands(line)
    assert _wrong_with(words) == wrong


@pages
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", _read(ROOT / "Makefile"), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z][a-z0-9-]+)", _read(page), re.MULTILINE)
    assert [name for name in named if name not in targets] == []


@pages
def test_every_path_exists(page: Path) -> None:
    named = re.findall(r"`((?:server|tests|docs|schema|proto|client)/[\w./-]+)`", _read(page))
    assert [path for path in named if "NNNN" not in path and not (ROOT / path).exists()] == []


@pages
def test_every_metric_and_setting_exists(page: Path) -> None:
    metrics = {spec.name for spec in CATALOGUE}
    named = set(re.findall(r"\brookery_[a-z_]+[a-z]", _read(page))) - FAMILIES
    assert {name for name in named if name not in metrics} == set()
    settings = set(environment_names()) | OTHERS
    told = set(re.findall(r"\bROOKERY_[A-Z0-9_]+", _read(page)))
    assert {name for name in told if name not in settings and not name.endswith("__")} <= {
        "ROOKERY_TEST_CASSANDRA", "ROOKERY_TEST_VALKEY", "ROOKERY_",
    }  # fmt: skip


def test_the_client_can_do_what_the_first_page_shows() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", _read(ROOT / "README.md"), re.DOTALL)
    tree = ast.parse(program)
    called = {(node.value.id, node.attr) for node in ast.walk(tree)
              if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}  # fmt: skip
    methods = {name for whose, name in called if whose in ("client", "me")}
    assert methods
    assert {name for name in methods if not hasattr(rookery.Client, name)} == set()


def test_every_protocol_and_decision_is_listed() -> None:
    architecture, decisions = _read(ROOT / "docs/architecture.md"), _read(ROOT / "docs/decisions/README.md")
    assert [p.name for p in ROOT.glob("docs/protocols/*.md") if f"(protocols/{p.name})" not in architecture] == []
    assert [p.name for p in ROOT.glob("docs/decisions/0*.md") if f"({p.name})" not in decisions] == []


def test_every_runbook_is_listed() -> None:
    index = _read(ROOT / "docs/runbooks/README.md")
    assert [p.name for p in ROOT.glob("docs/runbooks/[a-z]*.md") if f"({p.name})" not in index] == []
