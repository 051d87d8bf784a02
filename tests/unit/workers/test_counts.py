"""Every rule of docs/protocols/count.md, on whole workers and, for N3, on the count itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import AuthorTier, Crossing, Thresholds
from rookery_server.domain.models import Block
from rookery_server.metrics import Metrics
from rookery_server.services.counting import CLAIM, recount
from rookery_server.services.tiers import TierDirectory
from rookery_server.store.interface import Count, CountKind
from rookery_server.workers.counts import Recounts, ShardCounts
from rookery_server.workers.pace import Pace
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from rookery_server.workers.tiering import Tiering
from tests.unit.workers.world import START_MS, World, value

AUTHOR, READER = 30, 1
FOLLOWERS, FOLLOWING, TWEETS = CountKind.FOLLOWERS, CountKind.FOLLOWING, CountKind.TWEETS


def stored(world: World, subject: int, kind: CountKind) -> int | None:
    """The sum a reader shows; None: never counted."""
    values = [
        count.value for (of, its, part), count in world.truth.count_rows.items() if (of, its) == (subject, kind)
        and part != CLAIM
    ]  # fmt: skip
    return sum(values) if values else None


def counted(world: World) -> set[tuple[int, CountKind, int]]:
    return set(world.truth.recounted)


# --- N1, N2 -------------------------------------------------------------------------------------------------------


async def test_count_N1_a_post_touches_its_authors_tweets_in_the_bucket_of_its_id(world: World) -> None:
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(8)
    assert counted(world) == {(AUTHOR, TWEETS, tweet >> 53)}
    assert stored(world, AUTHOR, TWEETS) == 1
    world.delete(AUTHOR, tweet)
    await world.time.advance(8)
    assert stored(world, AUTHOR, TWEETS) == 0


async def test_count_N1_an_edge_touches_both_sides_in_each_part_the_follower_could_be_in(world: World) -> None:
    await world.start()
    world.change_edge(READER, AUTHOR, on=True)
    await world.time.advance(8)
    assert counted(world) == {(READER, FOLLOWING, 0), (AUTHOR, FOLLOWERS, 0), (AUTHOR, FOLLOWERS, 2)}
    assert (stored(world, READER, FOLLOWING), stored(world, AUTHOR, FOLLOWERS)) == (1, 1)
    world.change_edge(READER, AUTHOR, on=False)
    await world.time.advance(8)
    assert (stored(world, READER, FOLLOWING), stored(world, AUTHOR, FOLLOWERS)) == (0, 0)


async def test_count_N1_a_block_touches_both_sides_of_both_edges(world: World) -> None:
    world.follow(READER, AUTHOR)
    await world.start()
    event_id = world.mint()
    version = ids.write_timestamp_us(event_id)
    world.truth.block_rows[AUTHOR, READER] = Block(AUTHOR, READER, True, version)
    world.commit(Event(event_id, EventKind.BLOCK, AUTHOR, READER, version))
    await world.time.advance(10)
    assert {(subject, kind) for subject, kind, _ in counted(world)} == {
        (AUTHOR, FOLLOWERS), (AUTHOR, FOLLOWING), (READER, FOLLOWERS), (READER, FOLLOWING)
    }  # fmt: skip
    assert (stored(world, READER, FOLLOWING), stored(world, AUTHOR, FOLLOWERS)) == (0, 0)


async def test_count_N1_an_account_touches_nothing(world: World) -> None:
    await world.start()
    event_id = world.mint()
    world.commit(Event(event_id, EventKind.ACCOUNT, AUTHOR, AUTHOR, ids.write_timestamp_us(event_id)))
    await world.time.advance(70)
    assert counted(world) == set()


async def test_count_N2_nothing_is_counted_before_the_row_shows(world: World) -> None:
    await world.start()
    tweet = world.post(AUTHOR, row=False)
    await world.time.advance(30)
    assert counted(world) == set()
    world.commit_tweet(AUTHOR, tweet)
    await world.time.advance(12)
    assert stored(world, AUTHOR, TWEETS) == 1


async def test_count_N2_an_audits_late_find_is_counted(world: World) -> None:
    await world.start()
    await world.time.advance(150)
    world.post(AUTHOR, age_s=149)
    await world.time.advance(60)
    assert stored(world, AUTHOR, TWEETS) is None
    await world.time.advance(300)
    assert stored(world, AUTHOR, TWEETS) == 1


async def test_count_N2_an_event_applied_again_is_not_counted_again(world: World) -> None:
    worker = await world.start()
    for _ in range(5):
        world.post(AUTHOR)
    await world.time.advance(10)
    world.truth.recounted.clear()
    world.cache.primaries["n1"].restart_empty()
    await world.time.advance(60)
    assert value(worker.metrics, "rookery_outbox_events_total", kind="post", outcome="reapplied") > 0
    assert counted(world) == set()


# --- N3: the count itself -----------------------------------------------------------------------------------------


class Rows:
    """A truth whose rows are a number, and calls that stop where a test wants them to."""

    def __init__(self) -> None:
        self.rows, self.stored = 0, dict[int, Count]()
        self.order = random.Random(0)
        self.waiting: list[asyncio.Future[None]] = []

    async def _pause(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    def let_one_go_on(self) -> None:
        self.waiting.pop(self.order.randrange(len(self.waiting))).set_result(None)

    def count_parts(self, kind: CountKind, row_id: int) -> tuple[int, ...]:
        return (0,)

    async def counts(self, subject_ids: Sequence[int]) -> dict[int, tuple[Count, ...]]:
        await self._pause()
        found = tuple(self.stored.values())
        await self._pause()
        return {AUTHOR: found}

    async def write_count(self, count: Count) -> None:
        await self._pause()
        old = self.stored.get(count.part)
        if old is None or (old.counted_us, old.value) < (count.counted_us, count.value):
            self.stored[count.part] = count
        await self._pause()

    async def recount(self, subject_id: int, kind: CountKind, part: int) -> int:
        await self._pause()
        value = self.rows
        await self._pause()
        return value


class Skewed:
    def __init__(self, off_ms: int) -> None:
        self.off_ms = off_ms

    def now_ms(self) -> int:
        return START_MS + self.off_ms

    def monotonic(self) -> float:
        return 0.0


async def _one_history(seed: int) -> None:
    """Rows change now and then; each change has one of three counters with clocks of their own count after it."""
    rows, choice = Rows(), random.Random(seed)
    rows.order = choice
    clocks = [Skewed(off) for off in (0, -900, 900)]
    under_way: list[asyncio.Task[dict[CountKind, int]]] = []
    for _ in range(choice.randrange(2, 9)):
        rows.rows += 1
        under_way.append(asyncio.create_task(recount(rows, choice.choice(clocks), AUTHOR, FOLLOWERS, 0)))
        await asyncio.sleep(0)
        for _ in range(choice.randrange(12)):
            if rows.waiting:
                rows.let_one_go_on()
                await spin_a_little()
    while not all(task.done() for task in under_way):
        rows.let_one_go_on()
        await spin_a_little()
    assert rows.stored[0].value == rows.rows, seed


async def _histories() -> None:
    for seed in range(1_500):
        await _one_history(seed)


async def spin_a_little() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_count_N3_of_counts_at_once_by_skewed_clocks_a_true_one_stands() -> None:
    await _histories()


async def test_count_N3_without_the_claim_a_false_one_would_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = Rows.write_count

    async def unclaimed(self: Rows, count: Count) -> None:
        if count.part != CLAIM:
            await claimed(self, count)

    monkeypatch.setattr(Rows, "write_count", unclaimed)
    with pytest.raises(AssertionError):
        await _histories()


async def test_count_N3_it_is_stored_above_whatever_stands(world: World) -> None:
    ahead_us = world.time.now_ms() * 1000 + 5_000_000
    world.truth.count_rows[AUTHOR, TWEETS, 9] = Count(AUTHOR, TWEETS, 9, 77, ahead_us)
    world.commit_tweet(AUTHOR, world.mint())
    assert await recount(world.truth, world.time, AUTHOR, TWEETS, 9) == {TWEETS: 1}
    assert world.truth.count_rows[AUTHOR, TWEETS, 9] == Count(AUTHOR, TWEETS, 9, 1, ahead_us + 1)
    assert world.truth.count_rows[AUTHOR, TWEETS, CLAIM].value == 0


# --- N4 to N7: exact, and never forgotten ---------------------------------------------------------------------------


async def _crowd(world: World, choice: random.Random, seconds: int) -> None:
    """People follow, unfollow, post and delete."""
    tweets: list[int] = []
    for _ in range(seconds):
        for _ in range(3):
            reader, author = choice.randrange(1, 8), choice.randrange(30, 33)
            match choice.randrange(4):
                case 0 | 1:
                    world.change_edge(reader, author, on=choice.random() < 0.7, mirrored=choice.random() < 0.5)
                case 2:
                    tweets.append(world.post(author))
                case 3 if tweets:
                    tweet = tweets.pop()
                    of = next(a for a, id_ in world.truth.tweets if id_ == tweet)
                    world.delete(of, tweet)
        await world.time.advance(1)


def assert_exact(world: World) -> None:
    for subject in (*range(1, 8), *range(30, 33)):
        for kind in CountKind:
            parts = {part for of, its, part in world.truth.count_rows if (of, its) == (subject, kind) and part != CLAIM}
            truth = sum(world.truth.true_count(subject, kind, part) for part in parts)
            assert (stored(world, subject, kind) or 0) == truth, (subject, kind)
            assert parts or not any(world.truth.true_count(subject, kind, part) for part in (0, 1, 2)), (subject, kind)


async def test_count_N4_a_minute_after_quiet_every_count_equals_the_rows(world: World) -> None:
    await world.start()
    await world.start("b")
    await _crowd(world, random.Random(1), 60)
    await world.time.advance(60)
    assert_exact(world)


@pytest.mark.parametrize("seed", range(8))
async def test_count_N5_whoever_dies_and_whoever_takes_over_every_count_equals_the_rows(
    world: World, seed: int
) -> None:
    choice = random.Random(seed)
    running: list[Worker] = [await world.start("w0"), await world.start("w1")]
    for number in range(2, 6):
        await _crowd(world, choice, choice.randrange(2, 15))
        gone = running.pop(choice.randrange(2))
        if choice.random() < 0.6:
            await world.kill(gone)
        else:
            await drained(world, gone)
        running.append(await world.start(f"w{number}"))
    await _crowd(world, choice, 10)
    await world.time.advance(75)
    assert_exact(world)


async def drained(world: World, worker: Worker) -> None:
    leaving = asyncio.create_task(worker.drain())
    await world.time.advance(3)
    await leaving


async def test_count_N5_the_position_waits_for_what_is_not_counted(world: World) -> None:
    await world.start()
    await world.time.advance(90)

    async def hook(what: str) -> None:
        if what == "recount":
            await asyncio.Event().wait()

    world.truth.hook = hook
    tweet = world.post(AUTHOR)
    await world.time.advance(200)
    shard = world.shard(AUTHOR)
    assert world.truth.counted[shard].checkpoint_ms <= ids.time_ms(tweet) < world.truth.progress[shard].checkpoint_ms


async def test_count_N5_it_goes_back_for_a_late_one_before_the_print_knows_it(world: World) -> None:
    worker = await world.start()
    shard = world.shard(AUTHOR)
    await world.time.advance(150)

    async def hook(what: str) -> None:
        if what == "save_counted":
            raise StoreUnavailable
        if what == "recount":
            await asyncio.Event().wait()

    world.truth.hook = hook
    late = world.post(AUTHOR, age_s=149)
    window = ids.time_ms(late) // 60_000
    await world.time.advance(400)
    assert value(worker.metrics, "rookery_outbox_events_total", kind="post", outcome="reapplied") == 1
    assert world.truth.counted[shard].checkpoint_ms > ids.time_ms(late)
    assert world.truth.progress[shard].windows[window].count == 0, "an audit would find it again"
    world.truth.hook = None
    await world.kill(worker)
    await world.start("b")
    await world.time.advance(700)
    assert stored(world, AUTHOR, TWEETS) == 1


async def test_count_N5_saved_as_gone_back_it_needs_no_audit(world: World) -> None:
    worker = await world.start()
    shard = world.shard(AUTHOR)
    await world.time.advance(150)

    async def hook(what: str) -> None:
        if what == "recount":
            await asyncio.Event().wait()

    world.truth.hook = hook
    late = world.post(AUTHOR, age_s=149)
    await world.time.advance(400)
    assert world.truth.counted[shard].checkpoint_ms <= ids.time_ms(late)
    assert world.truth.progress[shard].windows[ids.time_ms(late) // 60_000].count == 1
    world.truth.hook = None
    await world.kill(worker)
    await world.start("b")
    await world.time.advance(60)
    assert stored(world, AUTHOR, TWEETS) == 1


async def test_count_N6_a_successor_counts_what_was_applied_and_not_counted(world: World) -> None:
    worker = await world.start()
    await world.time.advance(20)
    applied = world.post(AUTHOR)
    slow = True

    async def hook(what: str) -> None:
        if what == "recount" and slow:
            await asyncio.Event().wait()

    world.truth.hook = hook
    await world.time.advance(60)
    assert world.truth.progress[world.shard(AUTHOR)].checkpoint_ms > ids.time_ms(applied)
    await world.kill(worker)
    slow = False
    successor = await world.start("b")
    await world.time.advance(30)
    assert stored(world, AUTHOR, TWEETS) == 1
    assert value(successor.metrics, "rookery_outbox_events_total", kind="post", outcome="applied") == 0


async def test_count_N6_where_nobody_counted_before_an_hour_of_log_is(world: World) -> None:
    world.post(AUTHOR, age_s=3_500)
    world.post(31, age_s=3_700)
    await world.start()
    await world.time.advance(30)
    assert stored(world, AUTHOR, TWEETS) == 1
    assert stored(world, 31, TWEETS) is None


async def test_count_N7_a_calm_shard_saves_its_position_once_a_minute(world: World) -> None:
    await world.start()
    await world.time.advance(30)
    saves = 0

    async def hook(what: str) -> None:
        nonlocal saves
        saves += what == "save_counted"

    world.truth.hook = hook
    await world.time.advance(120)
    assert 4 <= saves <= 2 * 4, "four shards"


async def test_count_N7_a_higher_fence_is_obeyed(world: World) -> None:
    truth, settings, metrics = world.truth, WorkerSettings(), Metrics()
    tiering = Tiering(truth, TierDirectory(truth, world.time, CROSSING), world.time, settings, metrics)
    recounts = Recounts(truth, world.time, tiering, settings, metrics, Pace(world.time))
    now_ms = world.time.now_ms()
    old, new = (ShardCounts(truth, truth, recounts, settings, 0, fence, 0, now_ms) for fence in (4, 5))
    assert await new.save(now_ms)
    assert not await old.save(now_ms)
    assert truth.counted[0].fence == 5


# --- N8: once for many --------------------------------------------------------------------------------------------


async def test_count_N8_what_many_events_touched_is_counted_once(world: World) -> None:
    await world.start()
    for _ in range(50):
        world.post(AUTHOR)
        world.change_edge(READER, AUTHOR, on=True)
    await world.time.advance(20)
    assert len(world.truth.recounted) == len(counted(world)) == 4


async def test_count_N8_a_large_count_rests_longer_and_is_exact_within_a_minute(world: World) -> None:
    part = world.mint() >> 53
    world.truth.count_rows[AUTHOR, TWEETS, part - 1] = Count(AUTHOR, TWEETS, part - 1, 10_000_000, 1)
    await world.start()
    for _ in range(100):
        world.post(AUTHOR)
        await world.time.advance(1)
    assert 2 <= len(world.truth.recounted) <= 4
    await world.time.advance(50)
    assert stored(world, AUTHOR, TWEETS) == 10_000_100


async def test_count_N8_a_small_count_is_shown_within_seconds_however_busy(world: World) -> None:
    await world.start()
    for _ in range(100):
        world.post(AUTHOR)
        await world.time.advance(1)
    assert 12 <= len(world.truth.recounted) <= 20
    assert 0 <= 100 - (stored(world, AUTHOR, TWEETS) or 0) <= 8


async def test_count_N8_no_more_at_once_than_that_and_those_due_longest_first() -> None:
    world = World(WorkerSettings(recounts_at_once=2))
    worker = await world.start()
    running, most = 0, 0

    async def hook(what: str) -> None:
        nonlocal running, most
        if what == "recount":
            running += 1
            most = max(most, running)
            await world.time.sleep(1)
        running -= what == "recounted"

    world.truth.hook = hook
    authors = list(range(40, 50))
    for author in authors:
        world.post(author, ring=True)
        await world.time.advance(0.1)
    await world.time.advance(20)
    assert most == 2
    assert [subject for subject, _, _ in world.truth.recounted] == authors
    assert value(worker.metrics, "rookery_recounts_total", kind="tweets", outcome="stored") == 10
    assert value(worker.metrics, "rookery_recounts_waiting") == 0
    await world.close()


async def test_count_N8_changed_while_it_is_counted_it_is_counted_once_more(world: World) -> None:
    await world.start()
    began, go_on = 0, asyncio.Event()

    async def hook(what: str) -> None:
        nonlocal began
        if what == "recounted":
            began += 1
            if began == 1:
                await go_on.wait()

    world.truth.hook = hook
    world.post(AUTHOR)
    await world.time.advance(10)
    assert began == 1
    world.post(AUTHOR)
    await world.time.advance(30)
    assert began == 1, "one at a time"
    go_on.set()
    await world.time.advance(12)
    assert began == 2
    assert stored(world, AUTHOR, TWEETS) == 2


async def test_count_N8_what_the_store_does_not_answer_is_due_again(world: World) -> None:
    worker = await world.start()
    world.post(AUTHOR)
    await world.time.advance(2)
    world.truth.down = True
    await world.time.advance(100)
    assert value(worker.metrics, "rookery_recounts_total", kind="tweets", outcome="failed") >= 5
    assert value(worker.metrics, "rookery_recounts_waiting") == 1
    assert value(worker.metrics, "rookery_recounts_oldest_seconds") > 80
    world.truth.down = False
    await world.time.advance(20)
    assert stored(world, AUTHOR, TWEETS) == 1


async def test_count_N8_a_bug_of_ours_keeps_its_part_and_stops_no_other(world: World) -> None:
    await world.start()

    async def bug(what: str) -> None:
        if what == "recount":
            world.truth.hook = None
            raise ZeroDivisionError

    world.truth.hook = bug
    world.post(AUTHOR)
    await world.time.advance(1.1)
    world.post(31)
    await world.time.advance(20)
    assert (stored(world, AUTHOR, TWEETS), stored(world, 31, TWEETS)) == (1, 1)


# --- N9: tiers follow -----------------------------------------------------------------------------------------------

CROSSING = Crossing(
    announce_s=100, merge_s=1_000, rebuild_after_s=500, relations_life_s=60, directory_s=1, directory_max_age_s=20
)
TIERED = WorkerSettings(follower_page=3, thresholds=Thresholds(5, 10), crossing=CROSSING)


async def test_count_N9_an_author_who_grew_is_announced_to_pull() -> None:
    world = World(TIERED)
    worker = await world.start()
    for follower in range(100, 109):
        world.change_edge(follower, AUTHOR, on=True)
    await world.time.advance(20)
    assert world.truth.tier_rows == {}
    world.change_edge(109, AUTHOR, on=True)
    await world.time.advance(8)
    row = world.truth.tier_rows[AUTHOR]
    assert row.pull
    assert 90_000 <= row.switch_ms - world.time.now_ms() <= 100_000
    assert value(worker.metrics, "rookery_tier_changes_total", to="pull") == 1
    await world.close()


async def test_count_N9_the_way_back_needs_a_fifth_less() -> None:
    world = World(TIERED)
    for follower in range(100, 110):
        world.follow(follower, AUTHOR)
    for part in (0, 1, 2):
        await recount(world.truth, world.time, AUTHOR, FOLLOWERS, part)
    pull = world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, 5)
    worker = await world.start()
    for follower in (100, 101):
        world.change_edge(follower, AUTHOR, on=False)
    await world.time.advance(20)
    assert world.truth.tier_rows[AUTHOR] == pull
    world.change_edge(102, AUTHOR, on=False)
    await world.time.advance(20)
    row = world.truth.tier_rows[AUTHOR]
    assert not row.pull
    assert row.switch_ms > world.time.now_ms() + 900_000
    assert value(worker.metrics, "rookery_tier_changes_total", to="push") == 1
    await world.close()


async def test_count_N9_other_thresholds_take_effect_with_a_post() -> None:
    world = World(TIERED)
    for follower in range(100, 112):
        world.follow(follower, AUTHOR)
    for part in (0, 1, 2):
        await recount(world.truth, world.time, AUTHOR, FOLLOWERS, part)
    await world.start()
    world.post(AUTHOR)
    await world.time.advance(10)
    assert world.truth.tier_rows[AUTHOR].pull
    await world.close()


async def test_count_N9_who_was_never_counted_is_not_judged() -> None:
    world = World(TIERED)
    world.truth.count_rows[AUTHOR, FOLLOWERS, CLAIM] = Count(AUTHOR, FOLLOWERS, CLAIM, 0, 5)
    row = world.truth.tier_rows[AUTHOR] = AuthorTier(AUTHOR, True, 5)
    await world.start()
    world.post(AUTHOR)
    await world.time.advance(10)
    assert stored(world, AUTHOR, TWEETS) == 1
    assert world.truth.tier_rows[AUTHOR] == row
    await world.close()


async def test_count_N9_two_workers_announce_once_whoever_counts_which_part() -> None:
    world = World(TIERED)
    workers = [await world.start("a"), await world.start("b")]
    await world.time.advance(20)
    assert all(worker.shards for worker in workers)
    rows = set[AuthorTier]()

    async def hook(what: str) -> None:
        rows.update(world.truth.tier_rows.values())

    world.truth.hook = hook
    for follower in range(100, 112):
        world.change_edge(follower, AUTHOR, on=True)
    await world.time.advance(30)
    (row,) = rows
    assert row.pull
    await world.close()


async def test_count_N9_without_a_threshold_nobody_is_pull() -> None:
    world = World(replace(TIERED, thresholds=Thresholds(5, None)))
    await world.start()
    for follower in range(100, 130):
        world.change_edge(follower, AUTHOR, on=True)
    await world.time.advance(20)
    assert stored(world, AUTHOR, FOLLOWERS) == 30
    assert world.truth.tier_rows == {}
    await world.close()


async def test_count_N9_a_count_whose_tier_could_not_be_judged_is_due_again() -> None:
    world = World(TIERED)
    await world.start()
    for follower in range(100, 112):
        world.change_edge(follower, AUTHOR, on=True)
    refused = 3

    async def hook(what: str) -> None:
        nonlocal refused
        if what == "set_tier" and refused:
            refused -= 1
            raise StoreUnavailable

    world.truth.hook = hook
    await world.time.advance(60)
    assert refused == 0
    assert world.truth.tier_rows[AUTHOR].pull
    await world.close()
