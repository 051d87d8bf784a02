"""`python -m rookery_server.config_docs` prints `docs/configuration.md`, made from the sections of `config`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from rookery_server import config_sections
from rookery_server.config import Settings, environment_name, printable

_HEAD = """\
# Configuration

Made from `server/rookery_server/config_sections.py` by `python -m rookery_server.config_docs > docs/configuration.md`;
a test holds the two together.  Everything is read from the environment, once, at the start; there is no file.

- `rookery serve --show-settings` (`work` and `migrate` too) prints every name with the value in effect and stops.  All
  of it but the secrets can be given back as it is.
- An empty value is the default.  Lists are separated by commas.  Times are in seconds, fractions allowed.
- A name with `__` that does not exist, or a value that cannot be, stops the process before it does anything, and all
  such mistakes are named at once.
- With nothing set there is a development set-up: loopback only, every caller believed.

The command line reads `ROOKERY_TARGET`, `ROOKERY_AS` and `ROOKERY_TOKEN` (`rookery --help`), the local cluster
`ROOKERY_DEV_DIR` ([local-cluster.md](local-cluster.md)), the tests `ROOKERY_TEST_CASSANDRA` and `ROOKERY_TEST_VALKEY`
([CONTRIBUTING.md](../CONTRIBUTING.md)).
"""
_TABLE = "\n| name | value | default | meaning, reason |\n|---|---|---|---|\n"
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}"}
_KINDS: dict[object, str] = {
    bool: "true, false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "secret",
    tuple: "list",
}


def render() -> str:
    """The page, with its last newline."""
    return _HEAD + "".join(_section(name) for name in Settings.model_fields)


def reasons() -> dict[str, str]:
    """The text below each setting, by environment name; "" where there is none."""
    return {name: reason for section in Settings.model_fields for name, _, reason in _leaves(section)}


def _section(name: str) -> str:
    model = _model(Settings.model_fields[name])
    rows = "".join(f"| `{name}` | {_value(of)} | {_default(of)} | {reason} |\n" for name, of, reason in _leaves(name))
    return f"\n## {name}\n\n{inspect.getdoc(model)}\n{_TABLE}{rows}"


def _leaves(section: str) -> Iterator[tuple[str, FieldInfo, str]]:
    """Environment name, field and reason of every setting of a section, those of TLS included."""
    return _below(_model(Settings.model_fields[section]), section)


def _below(model: type[BaseModel], *path: str) -> Iterator[tuple[str, FieldInfo, str]]:
    told = {key: text for base in reversed(model.__mro__) for key, text in _TEXTS.get(base.__name__, {}).items()}
    for name, of in model.model_fields.items():
        if isinstance(of.annotation, type) and issubclass(of.annotation, BaseModel):
            yield from _below(of.annotation, *path, name)
        else:
            yield environment_name(*path, name), of, told.get(name, "")


def _model(field: FieldInfo) -> type[BaseModel]:
    if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
        raise TypeError(f"{field} is no section")
    return field.annotation


def _texts() -> dict[str, dict[str, str]]:
    """By class and field: the string that follows a field, which Python itself does not keep."""
    module = ast.parse(inspect.getsource(config_sections))
    return {node.name: dict(_commented(node)) for node in module.body if isinstance(node, ast.ClassDef)}


def _commented(of: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(of.body, of.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())


_TEXTS = _texts()


def _value(of: FieldInfo) -> str:
    kind = next((part for part in get_args(of.annotation) if part is not type(None)), of.annotation)
    if get_origin(of.annotation) is Literal:
        return ", ".join(get_args(of.annotation))
    if kind is Path:
        return "file"
    bounds = [
        text.format(getattr(rule, key)) for rule in of.metadata for key, text in _BOUNDS.items() if hasattr(rule, key)
    ]
    named = _KINDS[get_origin(of.annotation) or kind]
    return ", ".join([named, *bounds])


def _default(of: FieldInfo) -> str:
    shown = printable(of.default)
    shown = shown.lower() if isinstance(of.default, bool) else shown
    return f"`{shown}`" if shown else "–"


if __name__ == "__main__":
    sys.stdout.write(render())
