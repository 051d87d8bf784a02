"""What the memory store can be made to do wrong: late, half-seen, unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.limits import REMOVED_EDGE_LIFE_S, REQUEST_ID_LIFE_S
from rookery_server.domain.models import Edge
from rookery_server.store.memory import EVERYWHERE, Cell, Commit, MemoryStore, MemoryStoreWorld, Mutation, StoreHooks

NOW_MS = 1_700_000_000_000
TWEET = ids.compose(NOW_MS, 1, 0)


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


class Planned(StoreHooks):
    """The next commit and the replicas to be asked are what the test says."""

    def __init__(self) -> None:
        self.next: Commit | None = None
        self.read: tuple[int, ...] = (0, 1)
        self.waiting: list[Callable[[], None]] = []
        self.refuse: Outcome | None = None
        self.lose_answer = False
        self.look: Callable[[], Awaitable[None]] | None = None

    async def between(self, operation: str) -> None:
        if self.look is not None:
            await self.look()

    async def before(self, operation: str) -> None:
        if self.refuse is not None:
            raise StoreUnavailable(outcome=self.refuse)

    async def after(self, operation: str) -> None:
        if self.lose_answer:
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        planned, self.next = self.next, None
        return planned or super().commit(operation, tables)

    def later(self, apply: Callable[[], None]) -> None:
        self.waiting.append(apply)

    def asked(self, operation: str) -> tuple[int, ...]:
        return self.read


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hooks() -> Planned:
    return Planned()


@pytest.fixture
def world(clock: Clock) -> MemoryStoreWorld:
    return MemoryStoreWorld(clock)


@pytest.fixture
def store(world: MemoryStoreWorld, hooks: Planned) -> MemoryStore:
    return world.client(hooks=hooks)


def edge(on: bool, version: int = 5) -> tuple[Edge, Event]:
    kind = EventKind.FOLLOW if on else EventKind.UNFOLLOW
    return Edge(1, 2, on, version), Event(TWEET, kind, 1, 2, version)


async def write(store: MemoryStore, on: bool, version: int = 5) -> None:
    await store.write_edge(*edge(on, version))


async def test_a_write_seen_by_one_replica_is_seen_by_chance_until_it_was_read(
    store: MemoryStore, hooks: Planned
) -> None:
    hooks.next = Commit(((2,), (), ()), acked=False)
    with pytest.raises(StoreUnavailable) as unknown:
        await write(store, True)
    assert unknown.value.outcome is Outcome.UNKNOWN
    assert await store.edge(1, 2) is None, "two replicas without it make a quorum"
    hooks.read = (1, 2)
    assert await store.edge(1, 2) is not None
    hooks.read = (0, 1)
    assert await store.edge(1, 2) is not None, "the read before repaired a replica of every quorum"


async def test_reading_one_table_repairs_no_other(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((2,), (2,), (2,)), acked=False)
    with pytest.raises(StoreUnavailable):
        await write(store, True)
    hooks.read = (1, 2)
    assert await store.edge(1, 2) is not None
    hooks.read = (0, 1)
    assert (await store.followers(2, None, 10)).follower_ids == ()


async def test_the_log_may_show_before_the_row(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((), (), EVERYWHERE), acked=False)
    with pytest.raises(StoreUnavailable):
        await write(store, True)
    shards = [await store.read(shard, NOW_MS, NOW_MS + 1) for shard in range(store.shards)]
    assert sum(map(len, shards)) == 1
    assert await store.edge(1, 2) is None
    for arrive in hooks.waiting:
        arrive()
    assert await store.edge(1, 2) is not None


async def test_a_torn_batch_is_finished_though_its_caller_is_gone(world: MemoryStoreWorld) -> None:
    class Torn(StoreHooks):
        def commit(self, operation: str, tables: Sequence[str]) -> Commit:
            return Commit((EVERYWHERE,) * len(tables), early=frozenset({len(tables) - 1}))

        async def between(self, operation: str) -> None:
            seen.append(await world.client().edge(1, 2))
            raise asyncio.CancelledError

    seen: list[Edge | None] = []
    with pytest.raises(asyncio.CancelledError):
        await write(world.client(hooks=Torn()), True)
    assert seen == [None], "the log before the edge"
    assert await world.client().edge(1, 2) is not None


async def test_what_comes_late_loses_to_what_was_written_after(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((), (), ()), acked=False)
    with pytest.raises(StoreUnavailable):
        await write(store, True, version=5)
    await write(store, False, version=6)
    for arrive in hooks.waiting:
        arrive()
    assert await store.edge(1, 2) == Edge(1, 2, False, 6)


async def test_a_batch_may_show_in_parts_before_it_is_acked(
    store: MemoryStore, hooks: Planned, world: MemoryStoreWorld
) -> None:
    seen: list[bool] = []

    async def look() -> None:
        other = world.client()
        seen.append(await other.edge(1, 2) is not None)
        seen.append((await other.followers(2, None, 10)).follower_ids == (1,))

    hooks.look = look
    hooks.next = Commit((EVERYWHERE,) * 3, early=frozenset({1}))
    await write(store, True)
    assert seen == [False, True]
    await look()
    assert seen[2:] == [True, True]


async def test_a_lost_batch_never_comes(store: MemoryStore, hooks: Planned) -> None:
    hooks.next = Commit(((), (), ()), acked=False, lost=True)
    with pytest.raises(StoreUnavailable):
        await write(store, True)
    assert hooks.waiting == []


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_what_is_refused_is_not_done(store: MemoryStore, hooks: Planned, outcome: Outcome) -> None:
    hooks.refuse = outcome
    with pytest.raises(StoreUnavailable) as refused:
        await write(store, True)
    assert refused.value.outcome is outcome
    hooks.refuse = None
    assert await store.edge(1, 2) is None


async def test_a_lost_answer_is_done_all_the_same(store: MemoryStore, hooks: Planned) -> None:
    hooks.lose_answer = True
    with pytest.raises(StoreUnavailable):
        await store.take_lease("x", None, "me", 1)
    hooks.lose_answer = False
    assert (await store.read_leases(["x"]))["x"].owner == "me"


def test_nothing_is_acked_below_a_quorum() -> None:
    with pytest.raises(ValueError, match="quorum"):
        Commit((EVERYWHERE, (1,)))
    with pytest.raises(ValueError, match="quorum"):
        Commit((EVERYWHERE,), lost=True)


async def test_a_removed_edge_is_forgotten_after_eight_days_and_still_wins(store: MemoryStore, clock: Clock) -> None:
    await write(store, False, version=9)
    clock.ms += REMOVED_EDGE_LIFE_S * 1000 - 1
    assert await store.edge(1, 2) is not None
    clock.ms += 1
    assert await store.edge(1, 2) is None
    assert await store.following(1) == ()
    await write(store, True, version=8)
    assert await store.edge(1, 2) is None, "a tombstone is in the way of what is older"


async def test_request_ids_are_free_again_after_a_day(store: MemoryStore, clock: Clock) -> None:
    await store.claim_request(1, "r", b"a", 10)
    clock.ms += REQUEST_ID_LIFE_S * 1000 - 1
    assert not (await store.claim_request(1, "r", b"b", 20)).fresh
    clock.ms += 1
    assert (await store.claim_request(1, "r", b"b", 20)).fresh


async def test_the_engines_clock_is_not_the_processes(world: MemoryStoreWorld) -> None:
    world.offsets_ms = [0, 40, -5]
    ahead = Clock()
    ahead.ms += 700
    assert await world.client(ahead).coordinator_clocks_ms() == (-700, -660, -705)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (Cell(b"a", 2), Cell(b"z", 1)),
        (Cell(b"z", 1), Cell(b"a", 1)),
        (Cell(b"a", 1, expires_ms=5), Cell(b"z", 1)),
        (Cell(b"a", 1, expires_ms=6), Cell(b"z", 1, expires_ms=5)),
    ],
)
def test_ties_are_broken_alike_on_every_replica(winner: Cell, loser: Cell) -> None:
    assert winner.beats(loser)
    assert not loser.beats(winner)
    assert not winner.beats(winner)


async def test_undecodable_rows_are_told(world: MemoryStoreWorld) -> None:
    mutation = Mutation("outbox", (3, NOW_MS // 60_000), TWEET, Cell(b"\xff", 1))
    for replica in EVERYWHERE:
        world.apply(replica, mutation)
    (row,) = await world.client(SystemClock()).read(3, NOW_MS, NOW_MS + 1)
    assert (row.event, row.raw) == (None, b"\xff")
    assert row.error
