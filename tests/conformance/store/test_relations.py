"""Blocks and their mirror, mutes, requests to follow: a register per pair each."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from rookery_server.domain.events import EventKind, shard_of
from rookery_server.domain.ids import time_ms
from rookery_server.domain.models import Block, FollowRequest, Mute
from rookery_server.store.interface import Store
from tests.conformance.ids import Ids

ME, YOU, THEM = 1001, 2002, 3003
UNTIL_MS = 1_900_000_000_000


async def block(store: Store, ids: Ids, block: Block) -> None:
    kind = EventKind.BLOCK if block.on else EventKind.UNBLOCK
    await store.write_block(block, ids.event(kind, block.blocker_id, block.blocked_id, block.version_us))


async def mute(store: Store, ids: Ids, mute: Mute) -> None:
    await store.write_mute(mute, ids.event(EventKind.MUTE, mute.muter_id, mute.muted_id, mute.version_us))


async def requests(store: Store, target_id: int, limit: int) -> list[FollowRequest]:
    found: list[FollowRequest] = []
    after: int | None = None
    while True:
        page = await store.follow_requests(target_id, after, limit)
        assert len(page.requests) <= limit
        found += page.requests
        if page.next_after is None:
            return found
        assert after is None or page.next_after > after, "no progress"
        after = page.next_after


# --- one register a pair, whichever it is ---------------------------------------------------------------------------

Write = Callable[[Store, Ids, bool, int], Awaitable[None]]
Read = Callable[[Store], Awaitable[tuple[bool, int] | None]]


async def _block_state(store: Store) -> tuple[bool, int] | None:
    found = await store.block(ME, YOU)
    mirrored = [one for one in await store.blocked_by(YOU, 10) if one.blocker_id == ME]
    assert mirrored == ([found] if found else []), "both mirrors say the same"
    assert list(await store.blocks(ME)) == mirrored
    assert await store.blockers_among(YOU, [ME, THEM]) == ({ME} if found and found.on else set())
    return (found.on, found.version_us) if found else None


async def _mute_state(store: Store) -> tuple[bool, int] | None:
    found = await store.mute(ME, YOU)
    assert await store.mutes(ME) == ((found,) if found else ())
    return (found.on, found.version_us) if found else None


async def _request_state(store: Store) -> tuple[bool, int] | None:
    found = await store.follow_request(YOU, ME)
    assert await requests(store, YOU, 10) == ([found] if found and found.on else [])
    return (found.on, found.version_us) if found else None


async def _write_block(store: Store, ids: Ids, on: bool, version_us: int) -> None:
    await block(store, ids, Block(ME, YOU, on, version_us))


async def _write_mute(store: Store, ids: Ids, on: bool, version_us: int) -> None:
    await mute(store, ids, Mute(ME, YOU, on, version_us))


async def _write_request(store: Store, ids: Ids, on: bool, version_us: int) -> None:
    await store.write_follow_request(FollowRequest(YOU, ME, on, version_us))


REGISTERS: dict[str, tuple[Write, Read]] = {
    "block": (_write_block, _block_state),
    "mute": (_write_mute, _mute_state),
    "request": (_write_request, _request_state),
}
registers = pytest.mark.parametrize(("write", "state"), REGISTERS.values(), ids=REGISTERS)


@registers
async def test_there_is_nothing_from_the_start(store: Store, write: Write, state: Read) -> None:
    assert await state(store) is None


@registers
async def test_what_was_written_stands(store: Store, ids: Ids, write: Write, state: Read) -> None:
    await write(store, ids, True, 1_700_000_000_000_000)
    assert await state(store) == (True, 1_700_000_000_000_000)


@registers
async def test_what_was_lifted_keeps_its_row_and_version(store: Store, ids: Ids, write: Write, state: Read) -> None:
    await write(store, ids, True, 1_000)
    await write(store, ids, False, 1_001)
    assert await state(store) == (False, 1_001)


@registers
@pytest.mark.parametrize("on", [True, False])
async def test_a_lower_version_never_wins(store: Store, ids: Ids, write: Write, state: Read, on: bool) -> None:
    await write(store, ids, on, 2_000)
    await write(store, ids, not on, 1_000)
    assert await state(store) == (on, 2_000)


@registers
async def test_of_one_version_what_was_lifted_stands(store: Store, ids: Ids, write: Write, state: Read) -> None:
    for on in (True, False, True):
        await write(store, ids, on, 7)
    assert await state(store) == (False, 7)


@registers
async def test_writing_again_changes_nothing(store: Store, ids: Ids, write: Write, state: Read) -> None:
    for _ in range(3):
        await write(store, ids, True, 9)
    assert await state(store) == (True, 9)


@registers
async def test_random_changes_end_as_the_highest_version_says(
    store: Store, ids: Ids, write: Write, state: Read
) -> None:
    dice = random.Random(3)
    best = (0, False)
    for _ in range(25):
        on, version_us = dice.random() < 0.6, dice.randrange(1, 60)
        await write(store, ids, on, version_us)
        best = max(best, (version_us, not on))
        assert await state(store) == (not best[1], best[0])


# --- blocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "on"), [(EventKind.BLOCK, True), (EventKind.UNBLOCK, False)])
async def test_a_block_is_in_the_log(store: Store, ids: Ids, kind: EventKind, on: bool) -> None:
    event = ids.event(kind, ME, YOU, 5)
    await store.write_block(Block(ME, YOU, on, 5), event)
    at = time_ms(event.id)
    assert [row.event for row in await store.read(shard_of(ME, store.shards), at, at + 1)] == [event]


async def test_a_block_has_one_direction(store: Store, ids: Ids) -> None:
    await block(store, ids, Block(ME, YOU, True, 5))
    assert await store.block(YOU, ME) is None
    assert await store.blocked_by(ME, 10) == ()
    assert await store.blockers_among(ME, [YOU]) == frozenset()


async def test_the_mirror_of_a_block_is_corrected_forwards_only(store: Store, ids: Ids) -> None:
    await block(store, ids, Block(ME, YOU, True, 5))
    await store.repair_block(Block(ME, YOU, False, 4))
    assert await store.blockers_among(YOU, [ME]) == {ME}
    await store.repair_block(Block(ME, YOU, False, 6))
    assert await store.blockers_among(YOU, [ME]) == frozenset()
    assert await store.blocked_by(YOU, 10) == (Block(ME, YOU, False, 6),)
    assert await store.block(ME, YOU) == Block(ME, YOU, True, 5), "the truth is left alone"


async def test_whom_one_blocks_comes_whole_however_many(store: Store, ids: Ids, short_reads: None) -> None:
    blocks = tuple(Block(ME, blocked, blocked % 3 > 0, blocked) for blocked in range(1, 8))
    for one in blocks:
        await block(store, ids, one)
    assert await store.blocks(ME) == blocks


async def test_who_blocks_comes_up_to_a_limit_and_those_who_lifted_it_too(store: Store, ids: Ids) -> None:
    blocks = [Block(blocker, YOU, blocker != 3, 10) for blocker in range(1, 7)]
    for one in reversed(blocks):
        await block(store, ids, one)
    assert list(await store.blocked_by(YOU, 4)) == blocks[:4]
    assert list(await store.blocked_by(YOU, 100)) == blocks


async def test_of_many_candidates_those_who_block_are_told(store: Store, ids: Ids) -> None:
    for blocker in range(10, 60, 10):
        await block(store, ids, Block(blocker, YOU, blocker != 30, 5))
    assert await store.blockers_among(YOU, []) == frozenset()
    assert await store.blockers_among(YOU, [10, 10, 11, 30, 40]) == {10, 40}
    assert await store.blockers_among(YOU, range(1000, 0, -1)) == {10, 20, 40, 50}


# --- mutes ----------------------------------------------------------------------------------------------------------


async def test_a_mute_keeps_its_end_and_is_in_the_log(store: Store, ids: Ids) -> None:
    event = ids.event(EventKind.MUTE, ME, YOU, 5)
    await store.write_mute(Mute(ME, YOU, True, 5, UNTIL_MS), event)
    assert await store.mute(ME, YOU) == Mute(ME, YOU, True, 5, UNTIL_MS)
    at = time_ms(event.id)
    assert [row.event for row in await store.read(shard_of(ME, store.shards), at, at + 1)] == [event]


async def test_a_mute_that_ended_by_itself_keeps_its_row(store: Store, ids: Ids) -> None:
    ended = Mute(ME, YOU, True, 5, 1)
    await mute(store, ids, ended)
    assert await store.mutes(ME) == (ended,)


async def test_the_end_of_a_mute_changes_with_its_version(store: Store, ids: Ids) -> None:
    later, for_ever = Mute(ME, YOU, True, 5, UNTIL_MS), Mute(ME, YOU, True, 6)
    for one in (for_ever, later):
        await mute(store, ids, one)
    assert await store.mute(ME, YOU) == for_ever


async def test_whom_one_mutes_comes_whole_however_many(store: Store, ids: Ids, short_reads: None) -> None:
    mutes = tuple(Mute(ME, muted, muted % 3 > 0, muted, muted % 2) for muted in range(1, 8))
    for one in mutes:
        await mute(store, ids, one)
    assert await store.mutes(ME) == mutes


# --- requests -------------------------------------------------------------------------------------------------------


async def test_requests_come_in_order_page_by_page(store: Store) -> None:
    people = random.Random(2).sample(range(1, 10**12), 13)
    for person in people:
        await store.write_follow_request(FollowRequest(YOU, person, True, person))
    for person in people[:4]:
        await store.write_follow_request(FollowRequest(YOU, person, False, person + 1))
    live = [FollowRequest(YOU, person, True, person) for person in sorted(people[4:])]
    for limit in (1, 3, 9, 100):
        assert await requests(store, YOU, limit) == live
    assert await requests(store, ME, 3) == []


async def test_a_page_of_answered_requests_is_empty_and_not_the_last(store: Store) -> None:
    for person in range(1, 6):
        await store.write_follow_request(FollowRequest(YOU, person, person > 4, 10))
    assert (await store.follow_requests(YOU, None, 2)).requests == ()
    assert [one.requester_id for one in await requests(store, YOU, 2)] == [5]
