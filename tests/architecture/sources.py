"""The project as text.  Rules take it as a mapping, so that tests can show them sources that break them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER, CLIENT = "server/rookery_server/", "client/rookery/"

Sources = Mapping[str, str]
"""Path from the root of the repository -> source."""


def project() -> dict[str, str]:
    """Everything written by hand: server, client, tests, schema.  Generated stubs are left out."""
    tops = {"server": "*.py", "client": "*.py", "tests": "*.py", "schema": "*.cql"}
    found = (path for top, pattern in tops.items() for path in (ROOT / top).rglob(pattern))
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in sorted(found)
        if not path.is_relative_to(ROOT / "client/rookery/v1")
    }


@cache
def parsed(source: str) -> ast.Module:
    """Every rule looks at every source."""
    return ast.parse(source)


def under(sources: Sources, *prefixes: str) -> Iterator[tuple[str, str]]:
    return ((path, source) for path, source in sources.items() if path.startswith(prefixes))
