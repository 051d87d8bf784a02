"""A load goes on exactly where it stopped, whatever stopped it."""

from __future__ import annotations

import random
from pathlib import Path

from rookery_server.cli.journal import Journal


def test_users_and_edges_survive(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.user("a", 7)
    for index in range(1203):
        journal.edge(index)
    journal.close()
    again = Journal(tmp_path / "j.jsonl")
    assert (again.users, again.edges_done) == ({"a": 7}, 1203)
    again.close()


def test_only_an_unbroken_run_of_edges_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    order = [index for index in range(100) if index != 40]
    random.Random(1).shuffle(order)
    for index in order:
        journal.edge(index)
    assert journal.edges_done == 40
    journal.edge(40)
    assert journal.edges_done == 100
    journal.close()


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"user": "a", "id": 7}\n{"user": "b", "i', encoding="utf-8")
    journal = Journal(path)
    assert journal.users == {"a": 7}
    journal.close()


def test_a_journal_of_another_installation_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.user("a", 7)
    journal.edge(0)
    journal.forget()
    journal.user("b", 8)
    journal.close()
    again = Journal(tmp_path / "j.jsonl")
    assert (again.users, again.edges_done) == ({"b": 8}, 0)
    again.close()
