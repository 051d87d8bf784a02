"""Every rule of docs/protocols/delivery.md, on whole workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from rookery_server.domain import events, ids
from rookery_server.domain.events import Event, EventKind
from rookery_server.store.interface import FollowersPage, released_of
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.unit.workers.world import SHARDS, World, spin, value

AUTHOR = 30


def crowd(world: World, *followers: int, author: int = AUTHOR) -> None:
    for follower in followers:
        world.follow(follower, author)
        world.cache.build(follower)


def applied(worker: Worker, kind: str = "post", outcome: str = "applied") -> float:
    return value(worker.metrics, "rookery_outbox_events_total", kind=kind, outcome=outcome)


class Door:
    """Blocks calls of one name from the `after`-th on, until opened."""

    def __init__(self, what: str, after: int = 0) -> None:
        self._what, self._after, self._seen = what, after, 0
        self.opened = asyncio.Event()
        self.reached = False

    async def __call__(self, what: str) -> None:
        if what == self._what:
            self._seen += 1
            if self._seen > self._after:
                self.reached = True
                await self.opened.wait()


async def test_delivery_D1_a_post_reaches_every_open_list_within_a_poll(world: World) -> None:
    crowd(world, *range(1, 8))
    world.follow(8, AUTHOR)
    worker = await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert [world.cache.home(follower) for follower in range(1, 8)] == [[tweet]] * 7
    assert "h8" not in world.cache.node(8).held.lists
    assert applied(worker) == 1
    counts = {o: value(worker.metrics, "rookery_fanout_deliveries_total", outcome=o) for o in ("pushed", "inactive")}
    assert counts == {"pushed": 7, "inactive": 1}
    assert value(worker.metrics, "rookery_fanout_completion_seconds_count", tier="push") == 1


async def test_delivery_D1_all_shards_are_polled_in_one_burst(world: World) -> None:
    await world.start()
    await world.time.advance(15.5)  # the last hour is counted by then
    world.truth.reads.clear()
    await world.time.advance(1)
    assert sorted(shard for shard, *_ in world.truth.reads) == list(range(SHARDS))


async def test_delivery_D2_a_row_that_shows_nine_seconds_late_is_found_by_a_poll(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR, age_s=9)
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]


async def test_delivery_D2_a_poll_reads_from_the_last_one_however_long_ago(world: World) -> None:
    crowd(world, 1)
    await world.start()
    world.truth.hook = door = Door("read")
    await world.time.advance(6)
    tweets = [world.post(AUTHOR, age_s=5 - n) for n in range(5)]
    assert door.reached
    assert world.cache.home(1) == []
    world.truth.hook = None
    door.opened.set()
    await world.time.advance(2)
    assert world.cache.home(1) == tweets[::-1]


async def test_delivery_D2_a_long_time_without_a_node_is_not_read_every_second(world: World) -> None:
    await world.start()
    world.cache.primaries["n1"].cut(up=False)
    await world.time.advance(400)
    world.truth.reads.clear()
    await world.time.advance(1)
    assert all(world.time.now_ms() - since <= 22_000 for _, since, _ in world.truth.reads)
    assert world.time.now_ms() - world.claim(AUTHOR) > 400_000


async def test_delivery_D3_an_event_waits_for_its_row(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    tweet = world.post(AUTHOR, row=False)
    await world.time.advance(30)
    assert world.cache.home(1) == []
    assert world.claim(AUTHOR) < ids.time_ms(tweet), "it holds W"
    assert world.truth.progress[world.shard(AUTHOR)].checkpoint_ms < ids.time_ms(tweet)
    world.commit_tweet(AUTHOR, tweet)
    await world.time.advance(8)
    assert world.cache.home(1) == [tweet]
    assert world.cache.plain == [], "thirty seconds old: put in its place"
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
    assert applied(worker) == 1


async def test_delivery_D3_an_older_row_is_not_the_events_row(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(10)
    event_id = world.mint()
    world.commit(Event(event_id, EventKind.DELETE, AUTHOR, tweet, ids.write_timestamp_us(event_id)))
    await world.time.advance(10)
    assert world.cache.node(tweet).held.deleted == set(), "the log is at a quorum, the deletion not yet"
    world.delete(AUTHOR, tweet)
    await world.time.advance(10)
    assert world.cache.node(tweet).held.deleted == {tweet}


async def test_delivery_D3_a_superseded_edge_will_do(world: World) -> None:
    worker = await world.start()
    first = world.change_edge(1, AUTHOR, on=True)
    world.change_edge(1, AUTHOR, on=False)
    await world.time.advance(1.1)
    assert applied(worker, "follow") == applied(worker, "unfollow") == 1
    assert len(world.cache.node(1).held.stubs[1]) == 2
    assert world.truth.mirror[AUTHOR, 1].version_us > first.version_us


async def test_delivery_D3_an_older_edge_is_not_the_events_edge(world: World) -> None:
    worker = await world.start()
    follow = world.change_edge(1, AUTHOR, on=True)
    await world.time.advance(5)
    world.change_edge(1, AUTHOR, on=False)
    unfollow, world.truth.edge_rows[1, AUTHOR] = world.truth.edge_rows[1, AUTHOR], follow
    await world.time.advance(10)
    assert applied(worker, "unfollow") == 0
    world.truth.edge_rows[1, AUTHOR] = unfollow
    await world.time.advance(10)
    assert applied(worker, "unfollow") == 1
    assert world.cache.node(1).held.stubs[1] == [follow.version_us, unfollow.version_us]


async def test_delivery_D3_an_edge_that_never_shows_keeps_its_event_open_and_is_loud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(WorkerSettings(row_alarm_s=60))
    worker = await world.start()
    edge = world.change_edge(1, AUTHOR, on=True)
    del world.truth.edge_rows[1, AUTHOR]
    await world.time.advance(50)
    assert "unreadable" not in caplog.text
    await world.time.advance(100)
    assert caplog.text.count("its row is unreadable") == 1
    assert applied(worker, "follow") == 0
    assert world.claim(1) < edge.version_us // 1000
    await world.close()


async def test_delivery_D4_the_author_list_comes_first(world: World) -> None:
    crowd(world, *range(1, 5))
    await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert [(what, id_) for what, id_, _ in world.cache.calls] == [
        ("place_author", tweet), ("deliver", tweet), ("deliver", tweet)
    ]  # fmt: skip


async def test_delivery_D4_no_page_leaves_before_the_author_list_has_answered(world: World) -> None:
    crowd(world, 1)
    await world.start()
    world.cache.hook = door = Door("place_author")
    world.post(AUTHOR)
    await world.time.advance(1.1)
    assert door.reached
    assert world.cache.calls == []


async def test_delivery_D5_pages_hold_so_many_and_the_next_is_requested_meanwhile(world: World) -> None:
    crowd(world, *range(1, 9))
    await world.start()
    asked: list[int | None] = []
    read = world.truth.followers

    async def followers(followee_id: int, after: int | None, limit: int) -> FollowersPage:
        asked.append(after)
        return await read(followee_id, after, limit)

    world.truth.followers = followers  # type: ignore[method-assign]
    world.cache.hook = door = Door("deliver")
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert asked == [None, 3]
    door.opened.set()
    await spin()
    assert asked == [None, 3, 6]
    pages = [followers for what, _, followers in world.cache.calls if what == "deliver"]
    assert pages == [(1, 2, 3), (4, 5, 6), (7, 8)]
    assert world.cache.home(8) == [tweet]


async def test_delivery_D5_not_applied_before_the_last_push_is_acked(world: World) -> None:
    crowd(world, *range(1, 5))
    worker = await world.start()
    world.cache.hook = door = Door("deliver", after=1)
    tweet = world.post(AUTHOR)
    await world.time.advance(20)
    assert door.reached
    assert applied(worker) == 0
    assert world.claim(AUTHOR) < ids.time_ms(tweet)


async def test_delivery_D5_a_store_that_fails_mid_way_has_the_event_applied_again_in_place(world: World) -> None:
    crowd(world, *range(1, 8))
    worker = await world.start()
    world.truth.hook = door = Door("followers", after=1)
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]
    world.truth.down = True
    door.opened.set()
    world.truth.hook = None
    await world.time.advance(5)
    assert world.cache.home(7) == []
    world.truth.down = False
    await world.time.advance(8)
    assert [world.cache.home(follower) for follower in range(1, 8)] == [[tweet]] * 7
    assert applied(worker) == 1


async def test_delivery_D6_one_authors_events_in_order_others_meanwhile(world: World) -> None:
    other = next(n for n in range(40, 99) if world.shard(n) == world.shard(AUTHOR))
    crowd(world, 1)
    crowd(world, 2, author=other)
    await world.start()
    first = world.post(AUTHOR, row=False)
    second = world.post(AUTHOR)
    third = world.post(other)
    await world.time.advance(3)
    assert world.cache.home(1) == []
    assert world.cache.home(2) == [third]
    world.commit_tweet(AUTHOR, first)
    await world.time.advance(5)
    assert [id_ for what, id_, _ in world.cache.calls if what == "place_author"] == [third, first, second]


async def test_delivery_D6_a_small_author_does_not_wait_behind_a_large_one() -> None:
    world = World()
    object.__setattr__(world.settings, "pages_at_once", 1)
    crowd(world, *range(100, 250))
    crowd(world, 1, author=31)
    await world.start()
    world.post(AUTHOR)
    small = world.post(31)
    await world.time.advance(1.1)
    order = [id_ for what, id_, _ in world.cache.calls if what == "deliver"]
    assert len(order) == 51
    assert order.index(small) < 10
    await world.close()


async def a_large_and_a_small_author(world: World) -> None:
    """The large one, AUTHOR, has twenty pages of followers, the last one 159; each takes 0.05 s, and 0.1 s of rest
    while the small one, 31, posts."""

    async def slow(what: str) -> None:
        if what == "deliver":
            await world.time.sleep(0.05)

    world.cache.hook = slow
    crowd(world, *range(100, 160))
    crowd(world, 1, author=31)
    await world.start()


async def test_delivery_D6_a_large_post_rests_beside_others_also_while_a_node_is_recovered(world: World) -> None:
    """What a recovery applies again waits behind it and ends no rests."""
    await a_large_and_a_small_author(world)
    tweet, took_s = world.post(AUTHOR), 0.0
    while tweet not in world.cache.home(159):
        world.post(31)
        await world.time.advance(0.25)
        took_s += 0.25
        if took_s == 1.5:
            world.cache.node(1).cut()
        assert took_s < 6
    assert took_s > 2.5, "1.0 s of pushes and 1.9 s of rests"


async def test_delivery_D6_posts_of_one_author_do_not_queue_behind_rests(world: World) -> None:
    """A post every 1.5 s: more than rests leave room for, and no more than can be pushed."""
    await a_large_and_a_small_author(world)
    posts = []
    for number in range(24):
        world.post(31)
        if number % 3 == 0:
            posts.append(world.post(AUTHOR))
        await world.time.advance(0.5)
    # The last but one was posted 3 s ago.
    assert set(posts[:-1]) <= set(world.cache.home(159))


async def test_delivery_D7_a_repeat_is_placed_and_never_pushed(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR, repeat=True)
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]
    assert world.cache.plain == []


async def test_delivery_D7_two_events_of_one_tweet_give_one_entry(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR)
    world.commit(Event(world.mint(), EventKind.POST, AUTHOR, tweet, ids.write_timestamp_us(tweet), repeat=True))
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]


async def test_delivery_D8_killed_mid_fan_out_a_successor_applies_it_again_from_its_start(world: World) -> None:
    crowd(world, *range(1, 12))
    worker = await world.start()
    world.cache.hook = door = Door("deliver", after=2)
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert door.reached
    assert [bool(world.cache.home(follower)) for follower in range(1, 12)] == [True] * 6 + [False] * 5
    await world.kill(worker)
    world.cache.hook = None
    await world.start("b")
    await world.time.advance(20)
    assert [world.cache.home(follower) for follower in range(1, 12)] == [[tweet]] * 11
    assert world.claim(AUTHOR) > ids.time_ms(tweet)


async def test_delivery_D9_a_delete_overwrites_the_body(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    world.delete(AUTHOR, tweet)
    await world.time.advance(1.1)
    assert world.cache.node(tweet).held.deleted == {tweet}
    assert applied(worker, "delete") == 1


async def test_delivery_D9_a_deleted_tweet_is_not_fanned_out(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    tweet = world.post(AUTHOR)
    world.delete(AUTHOR, tweet)
    await world.time.advance(1.1)
    assert world.cache.home(1) == []
    assert applied(worker) == applied(worker, "delete") == 1


async def test_delivery_D9_a_relation_repairs_the_mirror_with_the_truth_of_now(world: World) -> None:
    await world.start()
    world.change_edge(1, AUTHOR, on=True, mirrored=False)
    truth = world.change_edge(1, AUTHOR, on=False, mirrored=False)
    world.cache.build(1, 5)
    await world.time.advance(1.1)
    assert world.truth.mirror[AUTHOR, 1] == truth
    assert "h1" not in world.cache.node(1).held.lists


async def test_delivery_D10_only_what_cannot_be_decoded_dies_and_at_once(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    bad = world.mint()
    world.commit_raw(AUTHOR, bad, b"\xff", None, "format version 255")
    tweet = world.post(AUTHOR)
    await world.time.advance(1.1)
    assert world.cache.home(1) == [tweet]
    assert world.truth.dead[bad].raw == b"\xff"
    await world.time.advance(10)
    assert value(worker.metrics, "rookery_outbox_dead") == 1


async def test_delivery_D10_no_claim_passes_a_dead_event_before_it_is_released(world: World) -> None:
    """Nobody knows whose lists it concerned."""
    crowd(world, 1)
    worker = await world.start()
    bad = world.mint()
    world.commit_raw(AUTHOR, bad, b"\xff", None, "format version 255")
    await world.time.advance(3_600)
    tweet = world.post(AUTHOR)
    await world.time.advance(30)
    assert world.cache.home(1) == [tweet], "its neighbours go on"
    assert ids.time_ms(bad) - 2_000 < world.claim(AUTHOR) < ids.time_ms(bad)
    assert world.truth.progress[world.shard(AUTHOR)].checkpoint_ms < ids.time_ms(bad)
    await world.truth.bury(released_of("fanout"), world.truth.dead[bad])
    await world.time.advance(7)
    assert world.claim(AUTHOR) > ids.time_ms(tweet)
    assert value(worker.metrics, "rookery_outbox_dead") == 0


async def test_delivery_D10_where_nothing_is_dead_nobody_asks_what_was_released(world: World) -> None:
    """Each look is at a week of partitions."""
    asked = Counter[str]()

    async def count(call: str) -> None:
        asked[call] += 1

    world.truth.hook = count
    worker = await world.start()
    asked.clear()
    await worker.look_after()
    assert asked["dead_letters"] == 1
    world.commit_raw(AUTHOR, world.mint(), b"\xff", None, "format version 255")
    await world.time.advance(1.1)
    asked.clear()
    await worker.look_after()
    assert asked["dead_letters"] == 2


async def test_delivery_D10_a_successor_holds_what_is_dead_and_passes_what_was_released(world: World) -> None:
    worker = await world.start()
    held, released = world.mint(), world.mint(age_s=-20)
    world.commit_raw(AUTHOR, held, b"\xff", None, "format version 255")
    world.commit_raw(AUTHOR, released, b"\xfe", None, "format version 254")
    await world.time.advance(30)
    await world.truth.bury(released_of("fanout"), world.truth.dead[released])
    await world.kill(worker)
    world.truth.dead.clear()
    await world.start("b")
    await world.time.advance(60)
    assert set(world.truth.dead) == {held, released}
    assert world.claim(AUTHOR) < ids.time_ms(held)
    await world.truth.bury(released_of("fanout"), world.truth.dead[held])
    await world.time.advance(7)
    assert world.claim(AUTHOR) > ids.time_ms(released)


async def test_delivery_D10_a_worker_that_can_read_it_applies_it(world: World) -> None:
    """A newer release takes the shard over."""
    crowd(world, 1)
    worker = await world.start()
    tweet = world.mint()
    world.commit_tweet(AUTHOR, tweet)
    known = Event(world.mint(), EventKind.POST, AUTHOR, tweet, ids.write_timestamp_us(tweet))
    world.commit_raw(AUTHOR, known.id, b"\xff", None, "format version 2")
    await world.time.advance(30)
    assert world.claim(AUTHOR) < ids.time_ms(known.id)
    await world.kill(worker)
    world.truth.log = [replace(row, event=known) if row.event_id == known.id else row for row in world.truth.log]
    await world.start("b")
    await world.time.advance(30)
    assert world.cache.home(1) == [tweet]
    assert world.claim(AUTHOR) > ids.time_ms(known.id)


async def test_delivery_D10_a_store_that_is_away_kills_nothing(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR)
    bad = world.mint()
    world.commit_raw(AUTHOR, bad, b"", None, "cut")
    world.truth.down = True
    await world.time.advance(300)
    assert world.truth.dead == {}
    assert world.cache.home(1) == []
    world.truth.down = False
    await world.time.advance(20)
    assert world.cache.home(1) == [tweet]
    assert set(world.truth.dead) == {bad}


async def test_delivery_D10_a_bug_of_ours_holds_w_and_loses_nothing(world: World) -> None:
    crowd(world, 1)
    await world.start()

    async def bug(what: str) -> None:
        if what == "place_author":
            raise ZeroDivisionError

    world.cache.hook = bug
    tweet = world.post(AUTHOR)
    await world.time.advance(20)
    assert world.claim(AUTHOR) < ids.time_ms(tweet)
    world.cache.hook = None
    await world.time.advance(20)
    assert world.cache.home(1) == [tweet]


async def test_delivery_D11_a_row_that_shows_minutes_late_is_found_by_an_audit(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    newer = world.post(AUTHOR)
    await world.time.advance(100)
    late = world.post(AUTHOR, age_s=99)
    also_late = world.post(AUTHOR, age_s=98)
    await world.time.advance(20)
    assert world.cache.home(1) == [newer]
    await world.time.advance(300)
    assert world.cache.home(1) == sorted([newer, late, also_late], reverse=True)
    assert value(worker.metrics, "rookery_outbox_audits_total", age="5m", result="different") == 1
    assert applied(worker, outcome="reapplied") >= 2


async def test_delivery_D11_a_single_late_row_is_applied_alone(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    for _ in range(3):
        world.post(AUTHOR)
    await world.time.advance(150)
    late = world.post(AUTHOR, age_s=149)
    await world.time.advance(300)
    assert late in world.cache.home(1)
    assert applied(worker, outcome="reapplied") == 1
    assert world.cache.plain != []


async def test_delivery_D11_quiet_windows_are_audited_too_and_every_round() -> None:
    world = World(WorkerSettings(audit_ages_s=(30, 120, 300, 600)))
    crowd(world, 1)
    worker = await world.start()
    await world.time.advance(360)
    rounds = {age: value(worker.metrics, "rookery_outbox_audits_total", age=age, result="equal") for age in AGES}
    assert rounds == {"30s": SHARDS * 5, "5m": SHARDS * 4, "4h": SHARDS * 1, "24h": 0}
    late = world.post(AUTHOR, age_s=355)
    await world.time.advance(600)
    assert world.cache.home(1) == [late]
    assert value(worker.metrics, "rookery_outbox_audits_total", age="24h", result="equal") > 0
    await world.close()


AGES = ("30s", "5m", "4h", "24h")


async def test_delivery_D11_a_calm_log_shows_no_difference_across_a_hand_over(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    for _ in range(40):
        world.post(AUTHOR)
        await world.time.advance(1.7)
    await world.kill(worker)
    successor = await world.start("b")
    for _ in range(40):
        world.post(AUTHOR)
        await world.time.advance(1.7)
    await successor.drain()
    third = await world.start("c")
    await world.time.advance(400)
    for each in (worker, successor, third):
        different = [value(each.metrics, "rookery_outbox_audits_total", age=age, result="different") for age in AGES]
        assert different == [0, 0, 0, 0]
    assert len(world.cache.home(1)) == len(set(world.cache.home(1))) == 80


async def test_delivery_D12_a_late_event_enters_its_print_a_minute_after(world: World) -> None:
    crowd(world, 1)
    await world.start()
    await world.time.advance(150)
    late = world.post(AUTHOR, age_s=149)
    window = events.window_of(late)
    while world.cache.home(1) != [late]:
        await world.time.advance(1)
    await world.time.advance(50)
    assert world.truth.progress[world.shard(AUTHOR)].windows[window].count == 0
    await world.time.advance(20)
    assert world.truth.progress[world.shard(AUTHOR)].windows[window].count == 1


async def test_delivery_D13_the_checkpoint_follows_w(world: World) -> None:
    await world.start()
    await world.time.advance(30)
    checkpoint = world.truth.progress[world.shard(AUTHOR)].checkpoint_ms
    assert 0 < world.claim(AUTHOR) - checkpoint <= 5_000 + 6_000
    held = world.post(AUTHOR, row=False)
    await world.time.advance(60)
    assert world.truth.progress[world.shard(AUTHOR)].checkpoint_ms < ids.time_ms(held)


async def test_delivery_D13_a_zombie_with_an_old_fence_moves_neither_progress_nor_w(world: World) -> None:
    crowd(world, *range(1, 5))
    zombie = await world.start()
    shard = world.shard(AUTHOR)
    zombies = [world.truth.leases[name] for name in world.truth.leases if name.startswith("shard/")]
    for lease in zombies:  # taken by somebody else while the zombie slept
        taken = await world.truth.take_lease(lease.name, lease, "b", 0)
        assert taken is not None
    await world.truth.save_progress("fanout", shard, zombies[0].fence + 1, 7, ())
    for node in world.cache.primaries.values():
        node.held.marks[shard] = 8
    await zombie.poll()
    await zombie.look_after()
    assert world.truth.progress[shard].checkpoint_ms == 7
    assert set(world.marks(AUTHOR).values()) == {8}
    assert shard not in zombie.shards
    assert value(zombie.metrics, "rookery_lease_transitions_total", kind="shard", change="lost") >= 1


async def test_delivery_D14_the_bell_brings_an_event_at_once_and_the_poll_leaves_it_alone(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    tweet = world.post(AUTHOR, ring=True)
    await spin()
    assert world.cache.home(1) == [tweet]
    await world.time.advance(5)
    assert world.cache.home(1) == [tweet]
    assert applied(worker) == 1
    assert value(worker.metrics, "rookery_outbox_rings_total", outcome="heard") == 1
    assert value(worker.metrics, "rookery_outbox_rings_total", outcome="missed") == 0


async def test_delivery_D14_a_lost_ring_costs_one_poll(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    tweet = world.post(AUTHOR)
    await spin()
    assert world.cache.home(1) == []
    await world.time.advance(1)
    assert world.cache.home(1) == [tweet]
    assert value(worker.metrics, "rookery_outbox_rings_total", outcome="missed") == 1


async def test_delivery_D14_a_ring_before_its_row_waits_like_any_event(world: World) -> None:
    crowd(world, 1)
    await world.start()
    tweet = world.post(AUTHOR, row=False, ring=True)
    await world.time.advance(0.5)
    assert world.cache.home(1) == []
    world.commit_tweet(AUTHOR, tweet)
    await world.time.advance(1)
    assert world.cache.home(1) == [tweet]


async def test_delivery_D14_a_ring_that_comes_too_late_is_left_to_the_audits(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    await world.time.advance(60)
    world.post(AUTHOR, age_s=11, event=False, ring=True)
    await world.time.advance(5)
    assert world.cache.home(1) == []
    assert value(worker.metrics, "rookery_outbox_rings_total", outcome="heard") == 0


async def test_delivery_D14_nonsense_on_the_bell_is_nothing(world: World) -> None:
    crowd(world, 1)
    worker = await world.start()
    shard = world.shard(AUTHOR)
    world.cache.ring(shard, b"nonsense")
    stranger = next(n for n in range(99) if world.shard(n) != shard)
    world.cache.ring(shard, events.encode(Event(world.mint(), EventKind.POST, stranger, 1, 1)))
    tweet = world.post(AUTHOR, ring=True)
    await spin()
    assert world.cache.home(1) == [tweet]
    assert value(worker.metrics, "rookery_outbox_rings_total", outcome="heard") == 1


async def test_delivery_D15_a_drain_finishes_the_page_moves_w_saves_and_releases(world: World) -> None:
    crowd(world, *range(1, 12))
    worker = await world.start()
    world.cache.hook = door = Door("deliver", after=1)
    tweet = world.post(AUTHOR)
    await world.time.advance(8)
    draining = asyncio.create_task(worker.drain())
    await spin()
    assert not draining.done()
    door.opened.set()
    await world.time.advance(1)
    await draining
    pushed = [bool(world.cache.home(follower)) for follower in range(1, 12)]
    assert pushed == [True] * 6 + [False] * 5, "the page in hand, and no other"
    progress = world.truth.progress[world.shard(AUTHOR)]
    assert progress.checkpoint_ms < ids.time_ms(tweet)
    assert ids.time_ms(tweet) - 1 in world.marks(AUTHOR).values()
    assert {lease.owner for lease in world.truth.leases.values()} == {""}
    assert worker.shards == frozenset()
    await world.start("b")
    await world.time.advance(2)
    assert [world.cache.home(follower) for follower in range(1, 12)] == [[tweet]] * 11
