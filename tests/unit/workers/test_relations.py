"""Blocks, mutes and accounts as the worker applies them: rules D9 and D16 to D19 of docs/protocols/delivery.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rookery_server.domain import ids, limits
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.models import Block, Edge, Mute
from rookery_server.workers.runner import Worker
from tests.unit.workers.world import World, spin, value

ANNA, BERT = 30, 31


def applied(worker: Worker, kind: str) -> float:
    return value(worker.metrics, "rookery_outbox_events_total", kind=kind, outcome="applied")


def block(world: World, on: bool = True, *, row: bool = True) -> Block:
    """Anna blocks Bert, or lifts it; `row`: the batch shows already."""
    event_id = world.mint()
    made = Block(ANNA, BERT, on, ids.write_timestamp_us(event_id))
    if row:
        world.truth.block_rows[ANNA, BERT] = made
    kind = EventKind.BLOCK if on else EventKind.UNBLOCK
    world.commit(Event(event_id, kind, ANNA, BERT, made.version_us))
    return made


def edge(world: World, follower: int, followee: int) -> Edge:
    return world.truth.edge_rows[follower, followee]


async def test_delivery_D9_two_changes_of_one_version_are_overwritten_for_both(world: World) -> None:
    """Two servers minted in the same millisecond: the version is the same, the events are two."""
    worker = await world.start()
    minted = world.mint()
    version = ids.write_timestamp_us(minted)
    for on_server, followee in enumerate((BERT, BERT + 1)):
        world.truth.edge_rows[ANNA, followee] = Edge(ANNA, followee, True, version)
        other = minted ^ on_server << ids.SEQUENCE_BITS
        world.commit(Event(other, EventKind.FOLLOW, ANNA, followee, version))
    await world.time.advance(1.1)
    assert applied(worker, "follow") == 2
    assert world.cache.node(ANNA).held.stubs[ANNA] == [version, version]


@pytest.mark.parametrize(("follower", "followee"), [(ANNA, BERT), (BERT, ANNA)])
async def test_delivery_D16_a_follow_under_a_block_is_cut_either_way(
    world: World, follower: int, followee: int
) -> None:
    worker = await world.start()
    blocked = block(world)
    await world.time.advance(2)
    followed = world.change_edge(follower, followee, on=True)
    await world.time.advance(2)
    cut = edge(world, follower, followee)
    assert not cut.on
    assert cut.version_us > max(blocked.version_us, followed.version_us)
    assert world.truth.mirror[followee, follower] == cut
    assert world.cache.node(follower).held.stubs[follower][-2:] == [cut.version_us, followed.version_us]
    assert applied(worker, "follow") == applied(worker, "block") == 1


async def test_delivery_D16_a_batch_that_commits_late_leaves_no_edge_under_a_block(world: World) -> None:
    await world.start()
    event_id = world.mint()
    late = Edge(BERT, ANNA, True, ids.write_timestamp_us(event_id))
    await world.time.advance(1)
    block(world)
    await world.time.advance(5)
    world.truth.edge_rows[BERT, ANNA] = world.truth.mirror[ANNA, BERT] = late
    world.commit(Event(event_id, EventKind.FOLLOW, BERT, ANNA, late.version_us))
    await world.time.advance(5)
    assert not edge(world, BERT, ANNA).on
    assert not world.truth.mirror[ANNA, BERT].on


async def test_delivery_D16_a_follow_after_the_block_was_lifted_stands(world: World) -> None:
    await world.start()
    block(world)
    await world.time.advance(2)
    block(world, on=False)
    followed = world.change_edge(BERT, ANNA, on=True)
    await world.time.advance(5)
    assert edge(world, BERT, ANNA) == world.truth.mirror[ANNA, BERT] == followed


async def test_delivery_D17_a_block_cuts_both_edges_and_overwrites_both(world: World) -> None:
    world.follow(ANNA, BERT)
    world.follow(BERT, ANNA)
    for user in (ANNA, BERT):
        world.cache.build(user, 5)
    await world.start()
    made = block(world)
    await world.time.advance(2)
    assert not edge(world, ANNA, BERT).on
    assert not edge(world, BERT, ANNA).on
    assert world.truth.blocked_mirror[BERT, ANNA] == made
    for user in (ANNA, BERT):
        assert made.version_us in world.cache.node(user).held.stubs[user]
        assert edge(world, user, ANNA + BERT - user).version_us in world.cache.node(user).held.stubs[user]
        assert f"h{user}" not in world.cache.node(user).held.lists


async def test_delivery_D17_the_end_of_a_block_overwrites_both_and_cuts_nothing(world: World) -> None:
    world.follow(ANNA, BERT)
    await world.start()
    made = block(world, on=False)
    await world.time.advance(2)
    assert edge(world, ANNA, BERT).on
    assert world.truth.blocked_mirror[BERT, ANNA] == made
    assert [world.cache.node(user).held.stubs[user] for user in (ANNA, BERT)] == [[made.version_us]] * 2


async def test_delivery_D17_a_block_lifted_meanwhile_cuts_nothing(world: World) -> None:
    world.follow(ANNA, BERT)
    worker = await world.start()
    block(world)
    block(world, on=False)
    await world.time.advance(2)
    assert edge(world, ANNA, BERT).on
    assert applied(worker, "block") == applied(worker, "unblock") == 1


async def test_delivery_D17_a_block_waits_for_its_row(world: World) -> None:
    worker = await world.start()
    made = block(world, row=False)
    await world.time.advance(10)
    assert applied(worker, "block") == 0
    assert world.claim(ANNA) < made.version_us // 1000
    world.truth.block_rows[ANNA, BERT] = made
    await world.time.advance(10)
    assert applied(worker, "block") == 1


async def test_delivery_D17_applied_again_a_block_changes_nothing_more(world: World) -> None:
    world.follow(ANNA, BERT)
    first = await world.start()
    block(world)
    await world.time.advance(2)
    cut = edge(world, ANNA, BERT)
    world.cache.build(BERT, 7)
    await world.kill(first)
    await world.start("b")
    await world.time.advance(20)
    assert edge(world, ANNA, BERT) == cut
    assert world.cache.home(BERT) == [7], "a list built since is not dropped again"


async def test_delivery_D18_a_mute_waits_for_its_row_and_overwrites_the_muter_alone(world: World) -> None:
    worker = await world.start()
    event_id = world.mint()
    mute = Mute(ANNA, BERT, True, ids.write_timestamp_us(event_id), until_ms=0)
    world.truth.mute_rows[ANNA, BERT] = replace(mute, version_us=mute.version_us - 1)
    world.commit(Event(event_id, EventKind.MUTE, ANNA, BERT, mute.version_us))
    await world.time.advance(5)
    assert applied(worker, "mute") == 0
    world.truth.mute_rows[ANNA, BERT] = mute
    await world.time.advance(5)
    assert world.cache.node(ANNA).held.stubs == {ANNA: [mute.version_us]}
    assert BERT not in world.cache.node(BERT).held.stubs


def account(world: World) -> Event:
    event_id = world.mint()
    event = Event(event_id, EventKind.ACCOUNT, ANNA, ANNA, ids.write_timestamp_us(event_id))
    world.commit(event)
    return event


async def test_delivery_D19_an_account_is_overwritten_when_its_change_can_no_longer_come(world: World) -> None:
    await world.start()
    asked: list[str] = []

    async def hook(what: str) -> None:
        if what == "settled_user":
            asked.append(what)
            assert ANNA not in world.cache.node(ANNA).held.profiles, "read first"

    world.truth.hook = hook
    account(world)
    await world.time.advance(4.9)
    assert asked == []
    await world.time.advance(0.5)
    assert asked == ["settled_user"]
    assert len(world.cache.node(ANNA).held.profiles[ANNA]) == 1


async def test_delivery_D19_no_two_stubs_are_alike(world: World) -> None:
    first = await world.start()
    account(world)
    account(world)
    await world.time.advance(6)
    await world.kill(first)
    await world.start("b")
    await world.time.advance(20)
    versions = world.cache.node(ANNA).held.profiles[ANNA]
    assert len(set(versions)) == len(versions) >= 4


async def test_delivery_D19_a_post_does_not_wait_behind_a_change_of_its_author(world: World) -> None:
    world.follow(1, ANNA)
    world.cache.build(1)
    await world.start()
    account(world)
    tweet = world.post(ANNA, ring=True)
    await spin()
    assert world.cache.home(1) == [tweet]


async def test_delivery_D19_no_claim_passes_a_change_that_an_own_copy_may_not_know(world: World) -> None:
    """Whoever claims the time of the change read its marks after this W was written, and so goes by no copy from before
    the stub."""
    await world.start()
    await world.time.advance(20)
    event, stubbed, claimed = account(world), 0.0, 0.0
    while not claimed:
        await world.time.advance(0.05)
        if not stubbed and ANNA in world.cache.node(ANNA).held.profiles:
            stubbed = world.time.monotonic()
        if world.claim(ANNA) >= ids.time_ms(event.id):
            claimed = world.time.monotonic()
    assert limits.COPY_WAIT_S - 0.05 < claimed - stubbed < limits.COPY_WAIT_S + 1.1


async def test_delivery_D19_nor_after_a_recovery_that_set_the_stub_again(world: World) -> None:
    world.settings = replace(world.settings, poll_every_s=0.1)
    await world.start()
    await world.time.advance(20)
    world.cache.node(ANNA).replicate()
    event = account(world)
    await world.time.advance(10)
    world.cache.node(ANNA).fail_over()
    assert ANNA not in world.cache.node(ANNA).held.profiles
    stubbed, claimed = 0.0, 0.0
    while not claimed:
        await world.time.advance(0.05)
        if not stubbed and ANNA in world.cache.node(ANNA).held.profiles:
            stubbed = world.time.monotonic()
        if stubbed and world.claim(ANNA) >= ids.time_ms(event.id):
            claimed = world.time.monotonic()
    assert claimed - stubbed > limits.COPY_WAIT_S - 0.05


async def test_delivery_D19_the_wait_does_not_hold_w(world: World) -> None:
    await world.start()
    await world.time.advance(20)
    worst = 0
    for _ in range(30):
        account(world)
        await world.time.advance(1)
        worst = max(worst, world.time.now_ms() - world.claim(ANNA))
    assert worst <= 8_000


async def test_delivery_D17_a_cut_of_unknown_outcome_is_finished_though_the_block_was_lifted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.follow(ANNA, BERT)
    cut, begun = world.truth.cut_edge, list[Edge]()

    async def lost_once(removed: Edge) -> None:
        begun.append(removed)
        if len(begun) == 1:
            block(world, on=False)
            raise StoreUnavailable("no answer", outcome=Outcome.UNKNOWN)
        await cut(removed)

    monkeypatch.setattr(world.truth, "cut_edge", lost_once)
    await world.start()
    block(world)
    await world.time.advance(5)
    assert begun == [begun[0]] * 2
    assert edge(world, ANNA, BERT) == world.truth.mirror[BERT, ANNA] == begun[0]
    assert begun[0].version_us in world.cache.node(ANNA).held.stubs[ANNA]


async def test_delivery_D17_the_mirror_of_an_edge_cut_half_is_repaired(world: World) -> None:
    world.follow(ANNA, BERT)
    on = edge(world, ANNA, BERT)
    await world.start()
    world.truth.edge_rows[ANNA, BERT] = replace(on, on=False, version_us=on.version_us + 1)
    block(world)
    await world.time.advance(2)
    assert world.truth.mirror[BERT, ANNA] == edge(world, ANNA, BERT)
