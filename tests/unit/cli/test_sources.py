"""What a graph file may look like, and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from rookery_server.cli import sources


def written(tmp_path: Path, raw: bytes) -> Path:
    path = tmp_path / "graph.tsv"
    path.write_bytes(raw)
    return path


def test_a_header_empty_lines_and_doubles_do_not_count(tmp_path: Path) -> None:
    source = sources.from_file(written(tmp_path, b"follower\tfollowee\na\tb\n\nb\tc\na\tb\n"))
    assert [account.key for account in source.accounts] == ["a", "b", "c"]
    assert source.edges == ((0, 1), (1, 2))
    assert source.follower_counts() == [0, 1, 1]


def test_the_same_file_has_the_same_digest(tmp_path: Path) -> None:
    first = sources.from_file(written(tmp_path, b"a\tb\n")).digest
    assert first == sources.from_file(written(tmp_path, b"a\tb\n")).digest
    assert first != sources.from_file(written(tmp_path, b"a\tc\n")).digest


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a\tb\nc\n", "line 2"),
        (b"a\tb\nc\td\te\n", "line 2"),
        (b"a\tb\nc\t\n", "line 2"),
        (b"a\ta\n", "line 1: nobody follows themselves"),
        (b"follower\tfollowee\n", "no edges"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        sources.from_file(written(tmp_path, raw))


@pytest.mark.parametrize("key", ["1", "abc_9", "ünï", "a b", "x" * 40])
def test_every_key_gets_a_valid_name(key: str) -> None:
    name = sources.username_for(key)
    assert 1 <= len(name) <= 15
    assert name.isascii()
    assert name.replace("_", "").isalnum()
