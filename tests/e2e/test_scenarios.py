"""Public failures of systems people use, each shown not to happen here: docs/scenarios.md lists all twenty.

Those in which parts of the installation are stopped or killed are in test_outage_scenarios.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rookery import errors
from rookery.v1 import admin_pb2
from rookery_server.cache import keys
from rookery_server.cli.sources import made_up
from tests.support.change_run import Plan, change_run
from tests.support.patient import settled
from tests.support.readers import now_ms
from tests.support.real_run import load
from tests.support.town import CALL_S, PULL_FROM, Town, eventually

DAY_MS = 86_400_000


async def test_scenario_02_two_sources_of_different_depth_are_merged_without_a_skip(town: Town) -> None:
    deep, shallow = await town.person(), await town.person()
    now = now_ms()
    of_deep = await town.import_posts(deep, [now - 60_000 - n * 7_000 for n in range(950)])
    of_shallow = await town.import_posts(shallow, [now - 60_000 - n * 1_100_000 for n in range(12)])
    reader = await town.person(deep, shallow)
    await town.claimed(reader)
    expected = sorted([*of_deep, *of_shallow], reverse=True)
    assert await town.home(reader) == expected, "with the list just built"
    assert await town.home(reader, 37) == expected, "from the list, and below it"
    await town.forget(keys.author(deep), keys.history(reader))
    assert await town.home(reader, 100, town.second) == expected, "with one source not cached"


async def test_scenario_03_a_page_of_nothing_but_hidden_tweets_leads_on(town: Town) -> None:
    loud, quiet = await town.person(), await town.person()
    reader = await town.person(loud, quiet)
    old = await town.posts(quiet, 3)
    await asyncio.gather(*(town.posts(loud, 60) for _ in range(10)))
    await town.client.acting_as(reader).mute(loud, timeout_s=CALL_S)
    await town.claimed(reader)
    seen, token, pages = list[int](), "", 0
    while True:
        page = await town.client.acting_as(reader).home_page(page_size=20, page_token=token, timeout_s=CALL_S)
        seen, token, pages = [*seen, *(tweet.id for tweet in page.tweets)], page.next_page_token, pages + 1
        assert page.tweets or token or page.info.end_of_history
        assert bool(token) != page.info.end_of_history
        if not token:
            break
    assert seen == old[::-1]
    assert pages < 40


async def test_scenario_04_a_thousand_tweets_of_one_instant_show_once_each(town: Town) -> None:
    author = await town.person()
    moment = now_ms() - 3_600_000
    made = await town.import_posts(author, [moment] * 1000)
    assert len({id_ >> 22 for id_ in made}) == 1
    reader = await town.person(author)
    await town.claimed(reader)
    assert await town.home(reader, 33) == made[::-1]
    profile = [tweet.id async for tweet in town.client.user_timeline(author, page_size=77)]
    assert profile == made[::-1]


async def test_scenario_06_whoever_returns_after_a_year_gets_a_full_first_page_in_one_call(town: Town) -> None:
    authors = [await town.person() for _ in range(8)]
    for author in authors:
        await town.posts(author, 4)
    reader = await town.person(*authors)
    await town.claimed(reader)
    everything = [keys.home(reader), keys.home_meta(reader), keys.relations(reader), keys.history(reader)]
    await town.forget(*everything, *(keys.author(author) for author in authors))
    page = await town.client.acting_as(reader).home_page(page_size=20, timeout_s=CALL_S)
    assert len(page.tweets) == 20
    assert page.info.complete_through.ToMilliseconds() > now_ms() - 20_000
    assert not page.info.degraded


async def test_scenario_08_after_a_settled_block_no_server_shows_either_to_the_other(town: Town) -> None:
    one, other, go_between = await town.person(), await town.person(), await town.person()
    for id_ in (one, other):
        await town.client.acting_as(id_).follow(go_between, timeout_s=CALL_S)
    await town.client.acting_as(one).follow(other, timeout_s=CALL_S)
    await town.client.acting_as(other).follow(one, timeout_s=CALL_S)
    (of_one,), (of_other,) = await town.posts(one, 1), await town.posts(other, 1)
    (quoting_one,) = await town.posts(go_between, 1, quoted_id=of_one)
    (answering_other,) = await town.posts(go_between, 1, in_reply_to_id=of_other)
    await town.claimed(one)
    before = set(await town.home(other))
    assert {of_one, quoting_one} <= before
    await settled(lambda: town.client.acting_as(one).block(other, timeout_s=CALL_S))
    for client in (town.client, town.second):
        shown_to_other = await town.home(other, client=client)
        shown_to_one = await town.home(one, client=client)
        assert not {of_one, quoting_one} & set(shown_to_other)
        assert not {of_other, answering_other} & set(shown_to_one)
        for viewer, hidden in ((other, (of_one, quoting_one)), (one, (of_other, answering_other))):
            for tweet_id in hidden:
                with pytest.raises(errors.NotFound):
                    await client.acting_as(viewer).get_tweet(tweet_id)
        for viewer, author in ((other, one), (one, other)):
            with pytest.raises(errors.NotFound):
                await client.acting_as(viewer).user_page(author)
        with pytest.raises(errors.NotFound):
            await client.acting_as(other).follow(one, timeout_s=CALL_S)
    relationship = await town.second.acting_as(other).get_relationship(one)
    assert (relationship.following, relationship.followed_by, relationship.blocked_by) == (False, False, True)


async def test_scenario_09_unmute_and_unblock_bring_history_back(town: Town) -> None:
    muted, blocked = await town.person(), await town.person()
    reader = await town.person(muted, blocked)
    acting = town.client.acting_as(reader)
    of_muted, of_blocked = await town.posts(muted, 4), await town.posts(blocked, 4)
    everything = sorted([*of_muted, *of_blocked], reverse=True)
    await town.claimed(reader)
    assert await town.home(reader) == everything
    await settled(lambda: acting.mute(muted, timeout_s=CALL_S))
    await settled(lambda: acting.block(blocked, timeout_s=CALL_S))
    assert await town.home(reader, client=town.second) == []
    await acting.unmute(muted, timeout_s=CALL_S)
    await acting.unblock(blocked, timeout_s=CALL_S)
    await acting.follow(blocked, timeout_s=CALL_S)
    assert await town.home(reader) == everything
    assert await town.home(reader, client=town.second) == everything


async def test_scenario_10_unfollow_hides_old_entries_at_once_and_late_ones_too(town: Town) -> None:
    left, kept = await town.person(), await town.person()
    reader = await town.person(left, kept)
    of_left, of_kept = await town.posts(left, 3), await town.posts(kept, 3)
    await town.claimed(reader)
    assert set(of_left) <= set(await town.home(reader))
    await settled(lambda: town.client.acting_as(reader).unfollow(left, timeout_s=CALL_S))
    for client in (town.client, town.second):
        assert await town.home(reader, client=client) == of_kept[::-1]
    late = await town.posts(left, 1)
    await town.cache.lpushx(keys.home(reader), late[0])  # what a fan-out does that read its followers before
    for client in (town.client, town.second):
        assert await town.home(reader, client=client) == of_kept[::-1]


async def test_scenario_15_followees_who_last_posted_400_days_ago_are_seen(town: Town) -> None:
    authors = [await town.person() for _ in range(3)]
    made = []
    for number, author in enumerate(authors):
        made += await town.import_posts(author, [now_ms() - (400 + number) * DAY_MS, now_ms() - 900 * DAY_MS])
    reader = await town.person(*authors)
    await town.claimed(reader)
    assert await town.home(reader, 2) == sorted(made, reverse=True)
    assert (await town.client.acting_as(reader).home_page()).tweets


async def test_scenario_17_an_author_who_crosses_tiers_while_posting_loses_nothing(town: Town) -> None:
    author = await town.person()
    readers = [await town.person(author) for _ in range(PULL_FROM - 2)]
    made: list[int] = []
    stop = asyncio.Event()

    async def keep_posting() -> None:
        while not stop.is_set():
            made.extend(await town.posts(author, 1))
            await asyncio.sleep(0.2)  # the pace of the load

    posting = asyncio.create_task(keep_posting())
    joined = [await town.person(author) for _ in range(4)]
    await eventually(lambda: _tier(town, author, pull=True), 120.0)
    for reader in (*readers, *joined):
        await town.home(reader)
    switch = await _row(town, author)
    await eventually(lambda: _past(switch.switch_time.ToMilliseconds() + 3_000), 60.0)
    for reader in joined:
        await town.client.acting_as(reader).unfollow(author, timeout_s=CALL_S)
    await town.client.acting_as(readers[0]).unfollow(author, timeout_s=CALL_S)
    await town.client.acting_as(readers[0]).follow(author, timeout_s=CALL_S)
    await eventually(lambda: _tier(town, author, pull=False), 120.0)
    back = await _row(town, author)
    await eventually(lambda: _past(back.switch_time.ToMilliseconds() + 3_000), 60.0)
    stop.set()
    await posting
    await town.claimed(readers[0])
    for client in (town.client, town.second):
        for reader in readers:
            assert await town.home(reader, client=client) == made[::-1]


async def _row(town: Town, author: int) -> admin_pb2.AuthorTier:
    return next(row for row in (await town.client.list_author_tiers([author])).tiers if row.author_id == author)


async def _tier(town: Town, author: int, *, pull: bool) -> bool:
    row = await _row(town, author)
    return row.HasField("switch_time") and (row.tier == admin_pb2.DELIVERY_TIER_PULL) is pull


async def _past(moment_ms: int) -> bool:
    return now_ms() > moment_ms


async def test_everything_at_once_ends_as_the_calls_were_answered(town: Town, tmp_path: Path) -> None:
    """A run of tests/support/change_run.py, small: borders between tiers are crossed all the time."""
    source = made_up(80, 6, 5)
    ids, _ = await load(town.client, source, tmp_path / "journal.jsonl", 24)
    plan = Plan(posts=300, readers=30, pull_from=PULL_FROM, seed=5)
    told = await change_run(town.client, town.second, source, ids, plan, say=lambda line: None)
    assert told["wrong"] == []
    assert (told["lost"], told["doubled"], told["forbidden"]) == (0, 0, 0)
    assert told["homes_judged"] == 30
    assert told["pages_meanwhile"] > 30
    changes = {"deletes", "follows", "unfollows", "blocks", "unblocks", "mutes", "unmutes"}
    assert told["calls"].keys() >= {"posts"} | changes
