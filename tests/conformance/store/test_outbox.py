"""The log, its readers' progress, dead letters."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from rookery_server.domain import ids as snowflake
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.events import WINDOW_MS, Event, EventKind, decode, encode, shard_of
from rookery_server.store.interface import DeadLetter, Store, TweetRow, WindowPrint
from tests.conformance.ids import Ids
from tests.conformance.store.conftest import MakeStore

READER = "tests"


async def file(store: Store, event_id: int, subject: int) -> Event:
    event = Event(event_id, EventKind.POST, subject, event_id, snowflake.write_timestamp_us(event_id))
    await store.post(TweetRow(event_id, subject, b"x", event.version), event)
    return event


def subjects_of(store: Store, shard: int, count: int) -> list[int]:
    return [subject for subject in range(1, 1000) if shard_of(subject, store.shards) == shard][:count]


async def test_a_shard_is_read_in_order_across_windows(store: Store, ids: Ids) -> None:
    subjects = subjects_of(store, 1, 3)
    events = [await file(store, ids.mint(age_s), subjects[at % 3]) for at, age_s in enumerate((1, 200, 61, 0, 125))]
    now = time.time_ns() // 1_000_000
    rows = await store.read(1, now - 300_000, now + 1000)
    assert [row.event for row in rows] == sorted(events, key=lambda event: event.id)
    assert all(row.raw == encode(event) for row, event in zip(rows, sorted(events, key=lambda e: e.id), strict=True))
    assert all(decode(row.raw) == row.event and not row.error for row in rows)


async def test_borders_are_half_open(store: Store, ids: Ids) -> None:
    subject = subjects_of(store, 0, 1)[0]
    event = await file(store, ids.mint(), subject)
    at = snowflake.time_ms(event.id)
    assert [row.event for row in await store.read(0, at, at + 1)] == [event]
    assert await store.read(0, at + 1, at + 1000) == ()
    assert await store.read(0, at - 1000, at) == ()
    assert await store.read(0, at, at) == ()


async def test_an_event_is_filed_alone(store: Store, ids: Ids) -> None:
    subject = subjects_of(store, 1, 1)[0]
    event = ids.event(EventKind.ACCOUNT, subject, subject, 5)
    for _ in range(2):
        await store.append(event)
    at = snowflake.time_ms(event.id)
    assert [row.event for row in await store.read(1, at, at + 1)] == [event]


async def test_the_border_of_a_window_hides_nothing(store: Store) -> None:
    subject = subjects_of(store, 2, 1)[0]
    border = (time.time_ns() // 1_000_000 // WINDOW_MS) * WINDOW_MS
    last, first = snowflake.compose(border - 1, 3, 999), snowflake.compose(border, 3, 0)
    for event_id in (first, last):
        await file(store, event_id, subject)
    assert [row.event_id for row in await store.read(2, border - 1, border + 1)] == [last, first]
    assert [row.event_id for row in await store.read(2, border, border + 1)] == [first]
    assert [row.event_id for row in await store.read(2, border - 1, border)] == [last]


async def test_what_this_release_cannot_decode_is_told_and_its_neighbours_go_on(store: Store, ids: Ids) -> None:
    subject = subjects_of(store, 3, 1)[0]
    before = await file(store, ids.mint(), subject)
    newer = Event(ids.mint(), cast(EventKind, 99), subject, 1, 1)  # a kind of a later release
    await store.post(TweetRow(newer.id, subject, b"x", 1), newer)
    after = await file(store, ids.mint(), subject)
    at = snowflake.time_ms(before.id)
    rows = await store.read(3, at, at + 60_000)
    assert [row.event for row in rows] == [before, None, after]
    assert (rows[1].event_id, rows[1].raw) == (newer.id, encode(newer))
    assert "99" in rows[1].error


async def test_a_long_window_is_read_to_its_end(store: Store, ids: Ids, short_reads: None) -> None:
    subject = subjects_of(store, 1, 1)[0]
    events = [await file(store, ids.mint(), subject) for _ in range(7)]
    at = snowflake.time_ms(events[0].id)
    assert [row.event for row in await store.read(1, at, at + 60_000)] == events


async def test_shards_are_kept_apart(store: Store, ids: Ids) -> None:
    events = {shard: await file(store, ids.mint(), subjects_of(store, shard, 1)[0]) for shard in range(store.shards)}
    now = time.time_ns() // 1_000_000
    for shard, event in events.items():
        assert [row.event for row in await store.read(shard, now - 60_000, now + 60_000)] == [event]


async def test_progress_begins_with_nothing(store: Store) -> None:
    progress = await store.load_progress(READER, 0)
    assert (progress.fence, progress.checkpoint_ms, dict(progress.windows)) == (0, 0, {})


async def test_progress_is_kept_by_reader_and_shard(store: Store) -> None:
    assert await store.save_progress(READER, 0, 3, 1_000, [])
    saved = await store.load_progress(READER, 0)
    assert (saved.fence, saved.checkpoint_ms) == (3, 1_000)
    assert (await store.load_progress(READER, 1)).checkpoint_ms == 0
    assert (await store.load_progress("others", 0)).checkpoint_ms == 0


async def test_a_lower_fence_writes_nothing(store: Store) -> None:
    window = time.time_ns() // 1_000_000 // WINDOW_MS
    assert await store.save_progress(READER, 0, 5, 1_000, [WindowPrint(window, 1, 11, 0)])
    assert not await store.save_progress(READER, 0, 4, 2_000, [WindowPrint(window, 9, 99, 3)])
    saved = await store.load_progress(READER, 0)
    assert (saved.fence, saved.checkpoint_ms) == (5, 1_000)
    assert saved.windows[window] == WindowPrint(window, 1, 11, 0)


async def test_the_same_and_a_higher_fence_write(store: Store) -> None:
    for fence, checkpoint in ((5, 1_000), (5, 2_000), (6, 1_500)):
        assert await store.save_progress(READER, 0, fence, checkpoint, [])
        saved = await store.load_progress(READER, 0)
        assert (saved.fence, saved.checkpoint_ms) == (fence, checkpoint)


async def test_of_many_who_save_the_highest_fence_stands(make_store: MakeStore) -> None:
    stores = {fence: make_store(SystemClock()) for fence in range(1, 7)}
    saved = await asyncio.gather(*(one.save_progress(READER, 0, fence, fence, []) for fence, one in stores.items()))
    progress = await stores[1].load_progress(READER, 0)
    assert (progress.fence, progress.checkpoint_ms) == (6, 6)
    assert saved[-1]


async def test_windows_are_added_and_replaced(store: Store) -> None:
    window = time.time_ns() // 1_000_000 // WINDOW_MS
    first, second = WindowPrint(window - 1, 2, -(2**62), 0), WindowPrint(window, 3, 2**62, 0)
    await store.save_progress(READER, 0, 1, 1, [first, second])
    audited = WindowPrint(window - 1, 2, 7, 1)
    await store.save_progress(READER, 0, 1, 2, [audited])
    assert dict((await store.load_progress(READER, 0)).windows) == {window - 1: audited, window: second}


async def test_burying_twice_is_burying_once(store: Store, ids: Ids) -> None:
    letter = DeadLetter(2, ids.mint(), b"\xff\x00", "format version 255")
    for _ in range(2):
        await store.bury(READER, letter)
    assert await store.dead_letters(READER, 2) == (letter,)
    assert await store.dead_letters("others", 2) == ()


async def test_many_letters_are_read_to_the_end(store: Store, ids: Ids, short_reads: None) -> None:
    letters = [DeadLetter(1, ids.mint(), b"%d" % number, "e") for number in range(7)]
    for letter in reversed(letters):
        await store.bury(READER, letter)
    assert await store.dead_letters(READER, 2) == tuple(letters)


async def test_a_letter_buried_by_two_releases_is_one(store: Store, ids: Ids) -> None:
    event_id = ids.mint()
    for reason in ("b", "c", "a"):
        await store.bury(READER, DeadLetter(2, event_id, b"raw", reason))
    assert await store.dead_letters(READER, 2) == (DeadLetter(2, event_id, b"raw", "c"),)


async def test_only_the_last_days_are_dug_up(store: Store, ids: Ids) -> None:
    old, new = DeadLetter(0, ids.mint(5 * 86_400), b"old", "e"), DeadLetter(0, ids.mint(), b"new", "e")
    for letter in (old, new):
        await store.bury(READER, letter)
    assert await store.dead_letters(READER, 2) == (new,)
    assert set(await store.dead_letters(READER, 7)) == {old, new}
