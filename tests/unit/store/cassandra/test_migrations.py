"""When the nodes of a ring agree upon a schema, by what each of them answers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rookery_server.domain.errors import StoreUnavailable
from rookery_server.store.cassandra import migrations
from rookery_server.store.cassandra.migrations import SchemaNotReady, agree

Answers = dict[str, str | None]
SILENT = None


class Ring:
    """Shows what each of its nodes answers, round by round (the last again and again)."""

    def __init__(self, *rounds: Answers) -> None:
        self._rounds, self.looks = list(rounds), 0

    def nodes(self) -> list[str]:
        self.looks += 1
        return list(self._round())

    async def execute(self, statement: object, *, node: str) -> list[tuple[str]]:
        said = self._round()[node]
        if said is SILENT:
            raise StoreUnavailable
        return [(said,)]

    def _round(self) -> Answers:
        return self._rounds[min(self.looks, len(self._rounds)) - 1]


async def agreed(ring: Ring, coordinator: str | None = None) -> int:
    """After how many looks."""
    assert await agree(cast("Any", ring), coordinator) == "one"
    return ring.looks


async def test_nodes_agree_when_each_of_them_shows_the_same() -> None:
    assert await agreed(Ring({"one": "new", "two": "new"})) == 1
    assert await agreed(Ring({"one": "new", "two": "old"}, {"one": "new", "two": "new"})) == 2


async def test_who_does_not_answer_may_show_another_schema() -> None:
    silent: Answers = {"one": "new", "two": SILENT}
    assert await agreed(Ring(silent, silent, {"one": "new", "two": "new"})) == 3
    assert await agreed(Ring(silent, {"one": "new"})) == 2, "down it agrees when it comes back"


async def test_a_coordinator_that_is_gone_may_be_the_only_one_that_knows() -> None:
    old: Answers = {"two": "old", "three": "old"}
    assert await agreed(Ring(old, old, {"one": "new", "two": "new", "three": "new"}), coordinator="one") == 3
    assert await agreed(Ring({"one": "new", "two": "new"}), coordinator="two") == 1


async def test_a_ring_without_nodes_agrees_upon_nothing() -> None:
    assert await agreed(Ring({}, {"one": "new"})) == 2


async def test_a_node_that_never_answers_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_AGREE_S", 0.01)
    with pytest.raises(SchemaNotReady, match="one of them does not answer"):
        await agreed(Ring({"one": "new", "two": SILENT}))
