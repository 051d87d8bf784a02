"""Where a load takes its network from: a two-column file, or the made-up one."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import typer

from rookery_server.dev import sample

_PLAIN = re.compile(r"[A-Za-z0-9_]{1,13}")


@dataclass(frozen=True, slots=True)
class Source:
    """`edges` are index pairs (follower, followee) into `accounts`.  `digest` names the source in journals and
    request ids, so the same source loaded again is recognised."""

    digest: str
    accounts: tuple[sample.Account, ...]
    edges: tuple[tuple[int, int], ...]

    def follower_counts(self) -> list[int]:
        counted = Counter(followee for _, followee in self.edges)
        return [counted[index] for index in range(len(self.accounts))]


def username_for(key: str) -> str:
    """A valid name for an external key; keys that cannot be names get one made of their hash."""
    return f"u_{key}" if _PLAIN.fullmatch(key) else "u_" + hashlib.sha256(key.encode()).hexdigest()[:13]


def from_file(path: Path) -> Source:
    """Reads `follower<TAB>followee` lines; a first line that says just that is a header.

    Doubles count once.  A line that is wrong is named, before anything is loaded."""
    raw = path.read_bytes()
    index: dict[str, int] = {}
    edges: dict[tuple[int, int], None] = {}
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8 text: byte {error.start}") from error
    for number, line in enumerate(lines, 1):
        if not line or (number == 1 and line.split("\t") == ["follower", "followee"]):
            continue
        pair = line.split("\t")
        if len(pair) != 2 or not all(pair):
            raise typer.BadParameter(f"{path}, line {number}: expected follower<TAB>followee")
        if pair[0] == pair[1]:
            raise typer.BadParameter(f"{path}, line {number}: nobody follows themselves")
        follower, followee = (index.setdefault(key, len(index)) for key in pair)
        edges[follower, followee] = None
    if not edges:
        raise typer.BadParameter(f"{path} has no edges")
    accounts = tuple(sample.Account(key, username_for(key), key) for key in index)
    return Source(hashlib.sha256(raw).hexdigest()[:16], accounts, tuple(edges))


def made_up(accounts: int, follows: int, seed: int) -> Source:
    network = sample.make_network(accounts, follows, seed)
    digest = hashlib.sha256(f"sample {accounts} {follows} {seed}".encode()).hexdigest()[:16]
    return Source(digest, network.accounts, network.follows)
