"""Writes that come later than anybody expects: long after their event id, or long after their caller gave up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.store.memory.hooks import Commit, StoreHooks
from tests.unit.services.test_on_memory import Server, Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.start()
    yield stage
    await stage.close()


class Delayed(StoreHooks):
    """Writes are neither acked nor applied before `let` is called."""

    def __init__(self) -> None:
        self._held: list[Callable[[], None]] = []

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        return Commit(((),) * len(tables), acked=False)

    def later(self, apply: Callable[[], None]) -> None:
        self._held.append(apply)

    def let(self) -> None:
        for apply in self._held:
            apply()


def _server(stage: Stage, hooks: StoreHooks, monkeypatch: pytest.MonkeyPatch) -> Server:
    """One more server, whose clients of the store have these hooks."""
    client = stage.stores.client
    with monkeypatch.context() as patch:
        patch.setattr(stage.stores, "client", lambda: client(hooks=hooks))
        return Server(stage, 3)


async def test_edge_E5_a_follow_that_committed_late_is_in_the_list_once_its_repeat_is_acked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed = Delayed()
    server = _server(stage, delayed, monkeypatch)
    alice, bob = await stage.user("alice"), await stage.user("bob")
    tweet = await stage.post(bob)
    await stage.pass_time(10)
    assert (await stage.two.page(alice)).tweet_ids == ()
    with pytest.raises(StoreUnavailable) as failed:
        await server.graph.follow(server.call(alice), bob)
    assert failed.value.outcome is Outcome.UNKNOWN
    # The batch lands when claims have long passed its event, so for minutes nobody but an audit would look there.
    await stage.pass_time(25)
    delayed.let()
    await stage.pass_time(1)
    assert (await stage.one.graph.follow(stage.one.call(alice), bob)).settled
    page = await stage.two.page(alice)
    assert ids.time_ms(tweet) < page.info.complete_through_ms
    assert page.tweet_ids == (tweet,)
