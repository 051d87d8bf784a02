"""Every rule of docs/protocols/claim.md, the worker's half, on whole workers."""

from __future__ import annotations

from collections import Counter

import pytest

from rookery_server.domain import ids
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.unit.workers.world import SHARDS, World, spin, value

AUTHOR = 30
"""On node n0, like every third user."""


def crowd(world: World, *followers: int, author: int = AUTHOR) -> None:
    for follower in followers:
        world.follow(follower, author)
        world.cache.build(follower)


def regressions(worker: Worker, cause: str) -> float:
    return sum(
        value(worker.metrics, "rookery_watermark_regressions_total", primary=primary, cause=cause) for primary in "012"
    )


async def test_claim_C1_every_node_carries_every_shard(world: World) -> None:
    await world.start()
    await world.time.advance(10)
    assert [sorted(node.held.marks) for node in world.cache.primaries.values()] == [list(range(SHARDS))] * 3


async def test_claim_C2_w_is_five_seconds_before_a_completed_poll(world: World) -> None:
    worker = await world.start()
    await world.time.advance(20)
    assert 5_000 <= world.time.now_ms() - world.claim(AUTHOR) <= 7_000
    lag = value(worker.metrics, "rookery_watermark_lag_seconds", primary="0", shard=str(world.shard(AUTHOR)))
    assert 5 <= lag <= 7


async def test_claim_C2_without_a_completed_poll_w_stands(world: World) -> None:
    await world.start()
    await world.time.advance(20)
    world.truth.down = True
    before = world.claim(AUTHOR)
    await world.time.advance(8)
    assert world.claim(AUTHOR) == before


async def test_claim_C2_w_stays_below_what_is_open(world: World) -> None:
    await world.start()
    held = world.post(AUTHOR, row=False)
    await world.time.advance(60)
    assert world.claim(AUTHOR) == ids.time_ms(held) - 1


async def test_claim_C3_w_moves_by_compare_and_set_behind_the_pushes(world: World) -> None:
    crowd(world, 1)
    await world.start()
    order: list[str] = []

    async def hook(what: str) -> None:
        order.append(what)

    world.cache.hook = hook
    tweet = world.post(AUTHOR)
    while world.claim(AUTHOR) < ids.time_ms(tweet):
        await world.time.advance(1)
    assert order.index("place_author") < order.index("deliver") < len(order) - 1 - order[::-1].index("advance")


async def test_claim_C3_what_a_failover_loses_of_the_pushes_it_loses_of_w(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(10)
    node = world.cache.node(1)
    node.replicate()
    tweet = world.post(AUTHOR)
    await world.time.advance(10)
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
    node.fail_over()
    assert world.cache.home(1) == []
    assert world.claim(AUTHOR) < ids.time_ms(tweet)


async def test_claim_C4_w_waits_everywhere_while_pushes_elsewhere_go_on(world: World) -> None:
    crowd(world, 1, 2, 3)
    await world.start()
    await world.time.advance(10)
    world.cache.node(1).cut(up=False)
    tweet = world.post(AUTHOR)
    await world.time.advance(30)
    assert world.cache.home(2) == world.cache.home(3) == [tweet]
    assert all(mark is not None and mark < ids.time_ms(tweet) for mark in world.marks(AUTHOR).values())
    assert world.claim(AUTHOR) < ids.time_ms(tweet)
    world.cache.node(1).cut()
    await world.time.advance(5)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(tweet)


async def test_claim_C4_a_node_that_refuses_a_push_is_behind_though_its_link_lives(world: World) -> None:
    crowd(world, 1, 2)
    await world.start()
    world.cache.node(1).refusing = True
    tweet = world.post(AUTHOR)
    await world.time.advance(30)
    assert world.cache.home(2) == [tweet]
    assert world.claim(AUTHOR) < ids.time_ms(tweet)
    world.cache.node(1).refusing = False
    await world.time.advance(15)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(tweet)


async def test_claim_C4_the_authors_own_list_counts_like_any_other(world: World) -> None:
    crowd(world, 1, 2)
    await world.start()
    world.cache.node(AUTHOR).refusing = True
    tweet = world.post(AUTHOR)
    await world.time.advance(20)
    assert world.cache.home(1) == world.cache.home(2) == [tweet]
    assert world.claim(AUTHOR) < ids.time_ms(tweet)


@pytest.mark.parametrize("found", [None, 5])
async def test_claim_C4_another_w_than_written_means_behind(world: World, found: int | None) -> None:
    crowd(world, 1)
    worker = await world.start()
    await world.time.advance(10)
    tweet = world.post(AUTHOR)
    await world.time.advance(8)
    held = world.cache.node(1).held
    held.lists["h1"].clear()  # as a flush by somebody else, over a link that never broke
    if found is None:
        held.known, held.flushed_ms = False, 0
        held.marks.clear()
    else:
        held.marks[world.shard(AUTHOR)] = ids.time_ms(tweet) - 3_000
    await world.time.advance(10)
    assert regressions(worker, "missing" if found is None else "older") >= 1
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
    assert "h1" not in world.cache.node(1).held.lists or world.cache.home(1) == [tweet]


def posts(worker: Worker, outcome: str) -> float:
    return value(worker.metrics, "rookery_outbox_events_total", kind="post", outcome=outcome)


async def test_claim_C5_a_failed_over_node_is_brought_up_to_date_in_place(world: World) -> None:
    crowd(world, 1, 4)
    worker = await world.start()
    await world.time.advance(10)
    node = world.cache.node(1)
    node.replicate()
    tweets = []
    for _ in range(5):
        tweets.append(world.post(AUTHOR))
        await world.time.advance(1)
    node.fail_over()
    newest = world.post(AUTHOR)
    await world.time.advance(20)
    assert world.cache.home(1) == world.cache.home(4) == [newest, *tweets[::-1]]
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000
    assert regressions(worker, "older") == SHARDS


async def test_claim_C5_taking_over_is_recovering_every_node(world: World) -> None:
    crowd(world, 1, 2, 3)
    first = await world.start("a")
    await world.time.advance(10)
    await world.kill(first)
    tweets = []
    for _ in range(20):
        tweets.append(world.post(AUTHOR))
        await world.time.advance(15)
    await world.start("b")
    live = world.post(AUTHOR)
    await world.time.advance(25)
    for follower in (1, 2, 3):
        assert world.cache.home(follower) == [live, *tweets[::-1]]
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000


async def test_claim_C5_an_event_under_way_when_the_node_returns_reaches_it(world: World) -> None:
    crowd(world, *range(1, 12))
    await world.start()
    await world.time.advance(10)
    node = world.cache.node(1)
    node.cut(up=False)
    gate_open = False

    async def hook(what: str) -> None:
        while what == "followers" and not gate_open:
            await world.time.sleep(0.1)

    world.truth.hook = hook
    tweet = world.post(AUTHOR)
    await world.time.advance(3)
    node.cut()
    await world.time.advance(3)
    gate_open = True
    await world.time.advance(10)
    assert [world.cache.home(follower) for follower in range(1, 12)] == [[tweet]] * 11
    assert world.claim(AUTHOR) > ids.time_ms(tweet)


async def test_claim_C5_what_waits_in_line_is_applied_once_and_what_has_begun_again(world: World) -> None:
    """A recovery begins while the first of six posts of one author is under way; W waits for all of them."""
    crowd(world, *range(1, 12))
    worker = await world.start()
    await world.time.advance(10)
    gate_open = False

    async def hook(what: str) -> None:
        while what == "followers" and not gate_open:
            await world.time.sleep(0.1)

    world.truth.hook = hook
    tweets = [world.post(AUTHOR) for _ in range(6)]
    await world.time.advance(1.5)
    world.cache.calls.clear()
    world.cache.node(1).cut()
    await world.time.advance(1.5)
    assert world.claim(AUTHOR) < ids.time_ms(tweets[0])
    gate_open = True
    await world.time.advance(2.0)
    placed = Counter(tweet for what, tweet, _ in world.cache.calls if what == "place_author")
    assert placed == dict.fromkeys(tweets, 1), "the first was placed once before"
    assert [world.cache.home(follower) for follower in range(1, 12)] == [tweets[::-1]] * 11
    assert [posts(worker, outcome) for outcome in ("applied", "reapplied")] == [6, 1]
    await world.time.advance(8)
    assert world.claim(AUTHOR) > ids.time_ms(tweets[-1])


async def test_claim_C5_what_a_worker_pushed_before_it_gave_the_shard_back_is_in_lists_once(world: World) -> None:
    """Its successor takes over so soon that both posts are young enough to be pushed, and the second still waits in its
    line when the recovery reads it."""
    crowd(world, *range(1, 12))
    first = await world.start("a")
    await world.time.advance(10)
    tweets = [world.post(AUTHOR, ring=True) for _ in range(2)]
    await world.time.advance(0.1)
    assert world.cache.home(1) == tweets[::-1]
    await first.drain()
    world.cache.plain.clear()

    async def slow(what: str) -> None:
        if what == "deliver":
            await world.time.sleep(0.1)

    world.cache.hook = slow
    second = await world.start("b")
    assert Counter(world.cache.plain) == {(follower, tweets[0]): 1 for follower in range(1, 12)}, "it had begun"
    assert [world.cache.home(follower) for follower in range(1, 12)] == [tweets[::-1]] * 11
    assert [posts(second, outcome) for outcome in ("applied", "reapplied")] == [2, 1]


async def test_claim_C5_what_a_successor_reads_first_in_its_recovery_is_placed(world: World) -> None:
    """Its first poll was refused: the recovery opens what the worker before it pushed a moment ago."""
    crowd(world, *range(1, 12))
    first = await world.start("a")
    await world.time.advance(10)
    tweet = world.post(AUTHOR, ring=True)
    await world.time.advance(0.1)
    await first.drain()
    world.cache.plain.clear()
    reads = 0

    async def refuse_the_first_poll(what: str) -> None:
        nonlocal reads
        reads += what == "read"
        if what == "read" and reads <= SHARDS:
            raise StoreUnavailable

    world.truth.hook = refuse_the_first_poll
    second = await world.start("b")
    assert posts(second, "applied") == 1
    assert world.cache.plain == []
    assert [world.cache.home(follower) for follower in range(1, 12)] == [[tweet]] * 11


async def test_claim_C5_a_row_that_showed_between_two_owners_is_found_below_w(world: World) -> None:
    crowd(world, 1)
    first = await world.start("a")
    await world.time.advance(10)
    await first.drain()
    w = world.claim(AUTHOR)
    late = world.post(AUTHOR, age_s=(world.time.now_ms() - w + 8_000) / 1000)
    assert ids.time_ms(late) < world.truth.progress[world.shard(AUTHOR)].checkpoint_ms < w
    await world.start("b")
    await world.time.advance(5)
    assert world.cache.home(1) == [late]


async def test_claim_C5_a_node_that_breaks_again_while_it_is_recovered_starts_over(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(10)
    node = world.cache.node(1)
    node.cut(up=False)
    tweets = [world.post(AUTHOR) for _ in range(3)]
    await world.time.advance(10)
    node.cut()
    broken = 0

    async def hook(what: str) -> None:
        nonlocal broken
        if what == "deliver" and broken < 2:
            broken += 1
            node.cut()

    world.cache.hook = hook
    await world.time.advance(30)
    assert broken == 2
    assert world.cache.home(1) == tweets[::-1]
    assert world.claim(AUTHOR) > ids.time_ms(tweets[-1])


async def test_claim_C5_an_event_heard_and_not_yet_in_the_log_is_applied_again_too(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(10)
    world.cache.node(1).replicate()
    tweet = world.post(AUTHOR, event=False, ring=True)
    await spin()
    assert world.cache.home(1) == [tweet]
    world.cache.node(1).fail_over()
    await world.time.advance(20)
    assert world.cache.home(1) == [tweet]


async def test_claim_C6_an_event_applied_late_and_lost_by_a_failover_is_applied_again(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(100)
    late = world.post(AUTHOR, age_s=90)
    while True:
        world.cache.node(1).replicate()
        await world.time.advance(1)
        if world.cache.home(1) == [late]:
            break
    world.cache.node(1).fail_over()
    assert world.cache.home(1) == [], "its W stands far above the event and says nothing of it"
    await world.time.advance(10)
    assert world.cache.home(1) == [late]


async def test_claim_C6_a_late_event_under_way_when_the_node_returns_reaches_it(world: World) -> None:
    crowd(world, *range(1, 12))
    await world.start()
    await world.time.advance(100)
    gate_open = False

    async def hook(what: str) -> None:
        while what == "followers" and not gate_open:
            await world.time.sleep(0.1)

    world.cache.node(1).cut(up=False)
    await world.time.advance(1)
    world.truth.hook = hook
    late = world.post(AUTHOR, age_s=90)
    while not any(what == "place_author" for what, *_ in world.cache.calls):
        await world.time.advance(1)
    world.cache.node(1).cut()
    await world.time.advance(3)
    gate_open = True
    await world.time.advance(10)
    assert [world.cache.home(follower) for follower in range(1, 12)] == [[late]] * 11


async def test_claim_C7_an_empty_node_is_adopted_once_and_starts_five_seconds_back(world: World) -> None:
    crowd(world, 1)
    worker = await world.start("a")
    await world.start("b")
    await world.time.advance(20)
    node = world.cache.node(1)
    node.restart_empty()
    adopted = []

    async def hook(what: str) -> None:
        if what == "adopt_empty":
            adopted.append(world.time.now_ms())

    world.cache.hook = hook
    await world.time.advance(2)
    assert node.held.known
    assert node.held.flushed_ms == adopted[0]
    await world.time.advance(10)
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000
    assert regressions(worker, "missing") == len(worker.shards)


async def test_claim_C7_removals_of_the_last_seconds_are_applied_to_it_again(world: World) -> None:
    await world.start()
    await world.time.advance(20)
    old, recent = world.post(3), world.post(3)
    await world.time.advance(1)
    world.delete(3, recent)
    edge = world.change_edge(6, 3, on=False)
    await world.time.advance(3)
    for node in world.cache.primaries.values():
        node.restart_empty()
    await world.time.advance(5)
    assert world.cache.node(recent).held.deleted == {recent}
    assert world.cache.node(6).held.stubs == {6: [edge.version_us]}
    assert old not in world.cache.node(old).held.deleted


async def test_claim_C7_a_list_built_after_the_adoption_gets_what_comes(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(20)
    world.cache.node(1).restart_empty()
    await world.time.advance(3)
    world.cache.build(1)
    tweet = world.post(AUTHOR)
    await world.time.advance(8)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(tweet)


HASTY = WorkerSettings(give_up_on_node_s=60)


async def test_claim_C8_w_waits_only_so_long_and_the_node_is_emptied_when_it_returns() -> None:
    world = World(HASTY)
    crowd(world, 1, 2)
    worker = await world.start()
    await world.time.advance(10)
    node = world.cache.node(1)
    node.cut(up=False)
    tweet = world.post(AUTHOR)
    await world.time.advance(50)
    assert (world.marks(AUTHOR)["n2"] or 0) < ids.time_ms(tweet)
    await world.time.advance(30)
    assert (world.marks(AUTHOR)["n2"] or 0) > ids.time_ms(tweet)
    node.cut()
    await world.time.advance(5)
    assert regressions(worker, "flushed") == 1
    assert "h1" not in node.held.lists
    assert world.time.now_ms() - world.claim(AUTHOR) < 15_000
    await world.close()


async def test_claim_C8_if_all_are_behind_nothing_is_emptied() -> None:
    world = World(HASTY)
    crowd(world, 1, 2)
    first = await world.start("a")
    await world.time.advance(10)
    await world.kill(first)
    tweets = []
    for _ in range(12):
        tweets.append(world.post(AUTHOR))
        await world.time.advance(30)
    worker = await world.start("b")
    await world.time.advance(25)
    assert regressions(worker, "flushed") == 0
    assert world.cache.home(1) == world.cache.home(2) == tweets[::-1]
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000
    await world.close()


async def test_claim_C9_with_a_wrong_clock_nothing_is_claimed(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(10)
    before = world.claim(AUTHOR)
    world.time.wall_ms += 300_000
    world.truth.offsets = (-300_000,) * 3
    await world.time.advance(30)
    assert world.claim(AUTHOR) <= before + 1_000
    world.time.wall_ms -= 300_000
    world.truth.offsets = (0,) * 3
    tweet = world.post(AUTHOR)
    await world.time.advance(40)
    assert world.cache.home(1) == [tweet]
    assert 5_000 <= world.time.now_ms() - world.claim(AUTHOR) <= 8_000


async def test_claim_C9_a_lease_in_doubt_moves_nothing(world: World) -> None:
    worker = await world.start()
    await world.time.advance(10)

    async def no_renewals(what: str) -> None:
        if what == "renew_lease":
            raise StoreUnavailable

    world.truth.hook = no_renewals
    await world.time.advance(12)
    before = world.claim(AUTHOR)
    await world.time.advance(10)
    assert world.claim(AUTHOR) == before
    world.truth.hook = None
    await world.time.advance(10)
    assert world.claim(AUTHOR) > before
    assert len(worker.shards) == SHARDS


async def test_claim_C9_a_repeated_event_of_a_deleted_tweet_holds_nothing(world: World) -> None:
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(2)
    world.delete(AUTHOR, tweet)
    world.commit(Event(world.mint(), EventKind.POST, AUTHOR, tweet, ids.write_timestamp_us(tweet), repeat=True))
    await world.time.advance(10)
    assert world.time.now_ms() - world.claim(AUTHOR) < 8_000


async def test_a_bug_in_a_recovery_holds_w_and_the_next_one_begins_anew(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(10)
    failing = True

    async def bug(what: str) -> None:
        if what == "read_node_marks" and failing:
            raise ZeroDivisionError

    world.cache.hook = bug
    world.cache.node(1).cut()
    tweet = world.post(AUTHOR)
    await world.time.advance(20)
    assert world.claim(AUTHOR) < ids.time_ms(tweet)
    failing = False
    await world.time.advance(20)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
