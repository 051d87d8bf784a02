"""What the memory store forgets, and by whose clock."""

from __future__ import annotations

import pytest

from rookery_server.domain import ids
from rookery_server.domain.events import Event, EventKind, shard_of
from rookery_server.store.interface import DeadLetter, TweetRow, WindowPrint
from rookery_server.store.memory import Commit, MemoryStoreWorld

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
TWEET = ids.compose(NOW_MS, 1, 0)


class Clock:
    """Stands until it is moved."""

    def __init__(self, ms: int = NOW_MS) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


async def test_events_live_seven_days_and_tweets_for_ever() -> None:
    clock = Clock()
    store = MemoryStoreWorld(clock).client()
    row = TweetRow(TWEET, 7, b"body", 5)
    await store.post(row, Event(TWEET, EventKind.POST, 7, TWEET, 5))
    shard = shard_of(7, store.shards)
    clock.ms += 7 * DAY_MS - 1
    assert len(await store.read(shard, NOW_MS, NOW_MS + 1)) == 1
    clock.ms += 1
    assert await store.read(shard, NOW_MS, NOW_MS + 1) == ()
    assert await store.user_tweet(7, TWEET) == row


async def test_prints_live_two_days_from_their_last_saving() -> None:
    clock = Clock()
    store = MemoryStoreWorld(clock).client()
    first, second = WindowPrint(10, 1, 1, 0), WindowPrint(11, 1, 2, 0)
    await store.save_progress("r", 0, 1, 1, [first, second])
    clock.ms += DAY_MS
    await store.save_progress("r", 0, 1, 2, [second])
    clock.ms += DAY_MS
    progress = await store.load_progress("r", 0)
    assert dict(progress.windows) == {11: second}
    assert (progress.fence, progress.checkpoint_ms) == (1, 2)


async def test_letters_are_dug_up_by_the_asking_processes_clock() -> None:
    world = MemoryStoreWorld(Clock())
    letter = DeadLetter(0, TWEET, b"raw", "e")
    await world.client().bury("r", letter)
    assert await world.client().dead_letters("r", 1) == (letter,)
    ahead = world.client(Clock(NOW_MS + 3 * DAY_MS))
    assert await ahead.dead_letters("r", 3) == ()
    assert await ahead.dead_letters("r", 4) == (letter,)


def test_a_batch_is_lost_wholly_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="wholly"):
        Commit(((0,), ()), acked=False, lost=True)
    assert Commit(((0,),), acked=False, lost=True).lost
