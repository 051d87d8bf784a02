"""Scenarios of docs/scenarios.md that take minutes of trouble: told in virtual time on the memory adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.services.pages import PageSource, TimelinePage
from rookery_server.services.tweets import Draft
from rookery_server.store.memory import StoreHooks
from rookery_server.store.memory.hooks import Commit
from tests.unit.scenarios.town import Town, ended, tell

READERS = 60


@pytest.mark.parametrize("behind_s", [1, 12])
def test_scenario_14_a_primary_lost_with_its_last_seconds_of_writes_no_page_lies_and_nobody_stampedes(
    behind_s: int,
) -> None:
    """What twelve seconds of a replica's lag lose was claimed already, by the primary that is gone."""

    async def story(town: Town) -> None:
        await _a_primary_fails_over(town, behind_s)

    tell(story)


def test_scenario_14_a_primary_lost_with_all_it_held_is_built_anew_once_a_reader() -> None:
    tell(_a_primary_comes_back_empty)


async def _a_primary_fails_over(town: Town, behind_s: int) -> None:
    author, readers, made = await _watched_author(town)
    node = town.caches.node_of(readers[0])
    node.replicating = False
    made += await town.posts(author)
    await asyncio.sleep(behind_s)
    claims = [page.info.complete_through_ms for page in await _all_look(town, readers)]
    assert all((claim_ms > ids.time_ms(made[-1])) is (behind_s > 10) for claim_ms in claims)
    node.kill()
    node.fail_over()
    town.tally.reset()
    for _ in range(40):
        for page in await _all_look(town, readers):
            _holds_what_it_claims(page, made)
        await asyncio.sleep(0.5)
    for page in await _all_look(town, readers):
        assert list(page.tweet_ids) == made[::-1]
        assert not page.info.degraded
    assert not town.tally.reads["following"], "the lists are on the replica: nobody builds"
    assert not town.tally.reads["user_tweet_ids"]
    assert town.tally.reads["get_tweets"] <= 2 * 2, "bodies that were lost are read once for all who ask a server"


async def _a_primary_comes_back_empty(town: Town) -> None:
    author, readers, made = await _watched_author(town)
    lost = [reader for reader in readers if town.caches.node_of(reader) is town.caches.node_of(author)]
    assert len(lost) > 10
    town.caches.node_of(author).restart_empty()
    town.tally.reset()
    for _ in range(40):
        for page in await _all_look(town, readers):
            _holds_what_it_claims(page, made)
        await asyncio.sleep(0.5)
    for page in await _all_look(town, readers):
        assert list(page.tweet_ids) == made[::-1]
        assert page.info.source is PageSource.LIST
        assert not page.info.degraded
    # Once when the list is gone, and once more when the node vouches for what is stored there.
    assert town.tally.reads["following"] <= 2 * len(lost)
    assert town.tally.reads["user_tweet_ids"] <= 2 * 2 * len(lost)
    town.tally.reset()
    await _all_look(town, readers)
    assert not town.tally.reads["following"]
    assert not town.tally.reads["user_tweet_ids"]


async def _watched_author(town: Town) -> tuple[int, list[int], list[int]]:
    """An author whose readers all have a list."""
    await town.begin()
    author, *readers = await town.people(1 + READERS)
    for reader in readers:
        await town.follow(reader, author)
    made = await town.posts(author, 5)
    await _all_look(town, readers)
    await asyncio.sleep(10)
    for page in await _all_look(town, readers):
        assert page.info.source is PageSource.LIST
        assert page.info.complete_through_ms > ids.time_ms(made[-1])
    return author, readers, made


async def _all_look(town: Town, readers: Sequence[int]) -> list[TimelinePage]:
    """All at the same moment, half of them at each server."""
    servers = (town.one, town.two)
    return await asyncio.gather(*(servers[at % 2].page(reader) for at, reader in enumerate(readers)))


def _holds_what_it_claims(page: TimelinePage, made: Sequence[int]) -> None:
    claimed = [id_ for id_ in made if ids.time_ms(id_) <= page.info.complete_through_ms]
    assert set(claimed) <= set(page.tweet_ids), page.info
    assert list(page.tweet_ids) == sorted(set(page.tweet_ids), reverse=True)
    assert set(page.tweet_ids) <= set(made)


def test_scenario_18_all_workers_down_ten_minutes_pages_say_so_and_then_everything_is_in_its_place() -> None:
    tell(_no_worker_for_ten_minutes)


async def _no_worker_for_ten_minutes(town: Town) -> None:
    worker = await town.begin()
    busy, quiet, reader, away = await town.people(4)
    await town.follow(reader, busy, quiet)
    await town.follow(away, busy)
    made = await town.posts(busy, 2)
    await asyncio.sleep(10)
    for user in (reader, away):
        await town.two.page(user)
    await ended(worker)
    stopped_ms = town.time.now_ms()
    for minute in range(10):
        made += await town.posts(busy, 3)
        made += await town.posts(quiet)
        await asyncio.sleep(60)
        page = await town.two.page(reader)
        assert page.info.degraded, f"after minute {minute}"
        assert page.info.complete_through_ms <= stopped_ms
        _holds_what_it_claims(page, made)
        own = await town.one.post(reader)
        assert own.tweet_id in (await town.two.page(reader)).tweet_ids, "one's own posts show all the while"
        made.append(own.tweet_id)
    town.work()
    await asyncio.sleep(45)
    made += await town.posts(quiet)
    await asyncio.sleep(10)
    for server in (town.one, town.two):
        page = await server.page(reader, 100)
        assert page.info.source is PageSource.LIST
        assert list(page.tweet_ids) == made[::-1]
        assert page.info.complete_through_ms > ids.time_ms(made[-1])
        assert not page.info.degraded
    assert list(town.entries(reader)) == [*made[::-1], 0], "in their places, once each, in the list built before it all"
    of_busy = [id_ for id_ in town.entries(away) if id_]
    assert of_busy == sorted(of_busy, reverse=True)
    assert len(of_busy) == 2 + 10 * 3


class CommitsLate(StoreHooks):
    """The next batch's coordinator dies: nobody hears of it, and nothing of it shows before `replay`."""

    def __init__(self) -> None:
        self.dying = False
        self._batchlog: list[Callable[[], None]] = []

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        return Commit(((),) * len(tables), acked=False) if self.dying else super().commit(operation, tables)

    def later(self, apply: Callable[[], None]) -> None:
        self._batchlog.append(apply)

    def replay(self) -> None:
        for apply in self._batchlog:
            apply()


@pytest.mark.parametrize(("minutes", "found_within_s"), [(1, 330), (4, 150)])
def test_scenario_19_a_batch_that_commits_minutes_late_is_delivered_in_its_place(
    minutes: int, found_within_s: int
) -> None:
    """On the real engines: tests/e2e/test_fail_points.py, test_a_batch_that_commits_late_is_delivered_in_its_place."""

    async def story(town: Town) -> None:
        await town.begin()
        author, reader = await town.people(2)
        await town.follow(reader, author)
        (before,) = await town.posts(author)
        await town.two.page(reader)
        hooks = CommitsLate()
        dying = town.server(3, hooks)
        hooks.dying = True
        with pytest.raises(StoreUnavailable) as failed:
            await dying.tweets.create(dying.call(author), Draft("late"))
        assert failed.value.outcome is Outcome.UNKNOWN
        await asyncio.sleep(1)
        (after,) = await town.posts(author)
        await asyncio.sleep(minutes * 60 - 1)
        assert (await town.two.page(reader)).tweet_ids == (after, before)
        hooks.replay()
        await asyncio.sleep(found_within_s)  # to the next audit of its minute
        page = await town.two.page(reader)
        assert page.info.source is PageSource.LIST
        assert len(page.tweet_ids) == 3
        assert (page.tweet_ids[0], page.tweet_ids[2]) == (after, before)
        assert list(town.entries(reader)) == [*page.tweet_ids, 0]

    tell(story)
