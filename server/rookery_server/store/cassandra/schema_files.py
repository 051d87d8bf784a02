"""The files of `schema/`: the migrations and what they add up to.  Reads files, nothing else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

_PACKAGED = Path(__file__).resolve().parents[2] / "_schema"
_CHECKOUT = Path(__file__).resolve().parents[4] / "schema"
_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.cql")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,47}")  # Cassandra: at most 48 characters; unquoted, so lower case
_DATA_CENTRE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Step:
    """One migration.  `checksum` is the SHA-256 of the file: an applied step is never edited."""

    version: int
    name: str
    checksum: str
    statements: tuple[str, ...]


def folder() -> Path:
    """Inside an installed package, or at the top of a checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def steps() -> tuple[Step, ...]:
    """All migrations, ascending, numbered from 1 without a gap.  Raises ValueError otherwise."""
    found: list[Step] = []
    for path in sorted((folder() / "migrations").glob("*.cql")):
        named = _FILE.fullmatch(path.name)
        if named is None or int(named[1]) != len(found) + 1:
            raise ValueError(f"{path.name}: not the next migration, {len(found) + 1:04}_<what>.cql")
        text = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found.append(Step(int(named[1]), path.name, checksum, statements_of(text)))
    return tuple(found)


def tables() -> dict[str, str]:
    """The readable present: table → its one statement."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (folder() / "tables").glob("*.cql")}
    return {name: statements_of(texts[name])[0] for name in sorted(texts)}


def create_keyspace(keyspace: str, data_centre: str, replication_factor: int) -> str:
    """Names cannot be bound in a schema statement: they are checked instead.  Raises ValueError."""
    if not _IDENTIFIER.fullmatch(keyspace):
        raise ValueError(f"not a keyspace name: {keyspace!r}")
    if not _DATA_CENTRE.fullmatch(data_centre):
        raise ValueError(f"not a data centre: {data_centre!r}")
    (text,) = statements_of((folder() / "keyspace.cql").read_text(encoding="utf-8"))
    return Template(text).substitute(
        keyspace=keyspace, data_centre=data_centre, replication_factor=int(replication_factor)
    )


def statements_of(text: str) -> tuple[str, ...]:
    """CQL takes one statement a request.  Comments run from `--` to the end of the line; no text holds `;` or `--`."""
    bare = "\n".join(line.split("--")[0].rstrip() for line in text.splitlines())
    return tuple(statement.strip() for statement in bare.split(";") if statement.strip())
