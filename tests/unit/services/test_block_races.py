"""Blocks, follows, requests and answers at the same time, in every order of their steps: rules E10 to E13 and E19 to
E21 of docs/protocols/edge.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from rookery_server.cache.memory.world import MemoryCacheWorld
from rookery_server.domain.errors import NotFound
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.limits import ATTEMPT_LIFE_MS, EDGE_CERTAIN_AFTER_S
from rookery_server.domain.models import Profile, User
from rookery_server.services.accounts import Accounts
from rookery_server.services.blocks import Blocks
from rookery_server.services.calls import Call
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.follow_requests import FollowRequests
from rookery_server.services.graph import Graph
from rookery_server.services.quotas import LocalQuotas
from rookery_server.services.sight import Sight
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.users import KnownUsers
from rookery_server.services.writes import StartedWrites
from rookery_server.store.memory.hooks import StoreHooks
from rookery_server.store.memory.world import MemoryStoreWorld
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.relations import RelationApplier
from tests.support.interleaving import Turns, explore
from tests.unit.services.clocks import Mint, TestClock

ALICE, BOB = 11, 12
STEPS = frozenset({"block", "edge", "write_edge", "write_block", "follow_request", "write_follow_request"})
OF_EDGES = frozenset({"block", "edge", "write_edge", "write_block"})


class Dies(Exception):
    """The process ends here."""


@dataclass
class Gated(StoreHooks):
    """Each of `steps` waits for its turn; `dies_after`: the process ends when that was done."""

    turns: Turns
    who: str
    steps: frozenset[str] = STEPS
    dies_after: str = ""

    async def before(self, operation: str) -> None:
        if operation in self.steps:
            await self.turns.step(self.who)

    async def after(self, operation: str) -> None:
        if operation == self.dies_after:
            raise Dies


@dataclass
class Town:
    """One keyspace; each deed by a server of its own."""

    turns: Turns
    steps: frozenset[str] = STEPS
    clock: TestClock = field(default_factory=TestClock)
    workers: int = 0

    def __post_init__(self) -> None:
        self.stores, self.caches = MemoryStoreWorld(self.clock), self.empty_caches()
        self.store = self.stores.client()
        for user in (ALICE, BOB):
            self.stores.users[user] = User(user, f"u{user}", Profile(), 0, "1")

    def protect(self, user: int) -> None:
        self.stores.users[user] = replace(self.stores.users[user], protected=True)

    def open_again(self, user: int) -> None:
        self.stores.users[user] = replace(self.stores.users[user], protected=False)
        self.caches = self.empty_caches()  # without a copy of the account as it was

    def empty_caches(self) -> MemoryCacheWorld:
        caches = MemoryCacheWorld(self.clock)
        caches.adopt()
        return caches

    def server(self, hooks: StoreHooks | None = None, clock: TestClock | None = None) -> Graph:
        self.workers += 1
        clock = clock or self.clock
        store, cache = self.stores.client(hooks=hooks), self.caches.client()
        mint = Mint(clock, self.workers)
        sight = Sight(store, cache, clock, Accounts(store, cache, clock), TierDirectory(store, clock))
        writes, quotas = StartedWrites(clock, mint), LocalQuotas(clock)
        return Graph(store, cache, clock, mint, KnownUsers(store), sight, quotas, writes)

    def call(self, user: int) -> Call:
        return Call(user, self.clock.monotonic() + 2)

    def deed(self, who: str, name: str, by: int, to: int, dies_after: str = "") -> Coroutine[Any, Any, EdgeChanged]:
        graph = self.server(Gated(self.turns, who, self.steps, dies_after))
        return cast(Coroutine[Any, Any, EdgeChanged], getattr(graph, name)(self.call(by), to))

    async def follows(self, one: int, other: int) -> bool:
        edge = await self.store.edge(one, other)
        page = await self.store.followers(other, None, 10)
        assert (one in page.follower_ids) == bool(edge and edge.on)
        return bool(edge and edge.on)

    async def asks(self, one: int, other: int) -> bool:
        request = await self.store.follow_request(other, one)
        return bool(request and request.on)

    async def apply_events(self) -> None:
        """As the worker does, in any order: here the newest first."""
        applier = await self.applier()
        apply = {"FOLLOW": applier.edge, "UNFOLLOW": applier.edge, "BLOCK": applier.block, "UNBLOCK": applier.block}
        for event in await self.events():
            await apply[event.kind.name](event)

    async def applier(self, hooks: StoreHooks | None = None) -> RelationApplier:
        cache = self.caches.client()
        fleet = cast(Fleet, _Steady(await cache.open_links()))
        return RelationApplier(self.stores.client(hooks=hooks), cache, fleet, self.clock)

    async def events(self) -> list[Event]:
        """Of each shard the newest first."""
        now = self.clock.now_ms()
        rows = [
            row
            for shard in range(self.store.shards)
            for row in reversed(await self.store.read(shard, now - ATTEMPT_LIFE_MS, now + ATTEMPT_LIFE_MS))
        ]
        return [row.event for row in rows if row.event is not None]


@dataclass
class _Steady:
    """A fleet whose every node answers."""

    _links: Any

    def links(self) -> Any:
        return self._links

    def suspect(self, behind: Any, links: Any) -> None:
        assert not behind


Play = Callable[[Turns, Sequence[str]], Awaitable[None]]


def _ended(answer: object, *, may: tuple[type[Exception], ...] = (NotFound,)) -> bool:
    """Whether it was acked; anything but what it may end with is raised."""
    if isinstance(answer, BaseException) and not isinstance(answer, may):
        raise answer
    return not isinstance(answer, BaseException)


# --- blocks and follows -----------------------------------------------------------------------------------------------


def _block_meets_follow(blocker: int, follower: int, mutual: bool = False) -> Play:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = Town(turns, OF_EDGES)
        if mutual:
            await town.server().follow(town.call(BOB), ALICE)
        other = {ALICE: BOB, BOB: ALICE}
        answers = await turns.play(
            {
                "block": town.deed("block", "block", blocker, other[blocker]),
                "follow": town.deed("follow", "follow", follower, other[follower]),
            },
            choices,
        )
        assert answers["block"].settled, turns.chosen
        _ended(answers["follow"])
        assert not await town.follows(ALICE, BOB), turns.chosen
        assert not await town.follows(BOB, ALICE), turns.chosen
        await town.apply_events()
        assert not await town.follows(ALICE, BOB)

    return play


@pytest.mark.parametrize(
    ("blocker", "follower", "mutual"), [(ALICE, ALICE, False), (BOB, ALICE, False), (BOB, ALICE, True)]
)
async def test_edge_E11_a_block_and_a_follow_leave_no_edge_in_any_order(
    blocker: int, follower: int, mutual: bool
) -> None:
    assert await explore(_block_meets_follow(blocker, follower, mutual)) > 200


async def test_edge_E11_a_follow_that_does_not_look_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blind(self: Edges, *args: object) -> None: ...

    monkeypatch.setattr(Edges, "_unless_blocked", blind)
    with pytest.raises(AssertionError):
        await explore(_block_meets_follow(BOB, ALICE))


async def test_edge_E10_a_block_that_cuts_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Blocks, *args: object) -> list[int]:
        return []

    monkeypatch.setattr(Blocks, "_cut_edges", nothing)
    with pytest.raises(AssertionError):
        await explore(_block_meets_follow(BOB, ALICE))


async def test_edge_E11_two_blocks_and_a_follow() -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = Town(turns, frozenset({"write_edge", "write_block"}))
        answers = await turns.play(
            {
                "a": town.deed("a", "block", ALICE, BOB),
                "b": town.deed("b", "block", BOB, ALICE),
                "f": town.deed("f", "follow", ALICE, BOB),
            },
            choices,
        )
        _ended(answers["f"])
        assert answers["a"].settled
        assert answers["b"].settled
        assert not await town.follows(ALICE, BOB), turns.chosen

    assert await explore(play) >= 6


@pytest.mark.parametrize(
    "dying",
    [
        {"follow": "write_edge"},
        {"block": "write_block"},
        {"follow": "write_edge", "block": "write_block"},
        {"block": "edge"},
    ],
    ids=["follow", "block", "both", "block before it cuts"],
)
async def test_edge_E12_whoever_died_half_way_the_events_leave_no_edge(dying: dict[str, str]) -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = Town(turns, OF_EDGES)
        await turns.play(
            {
                "block": town.deed("block", "block", BOB, ALICE, dying.get("block", "")),
                "follow": town.deed("follow", "follow", ALICE, BOB, dying.get("follow", "")),
            },
            choices,
        )
        block = await town.store.block(BOB, ALICE)
        await town.apply_events()
        if block is not None and block.on:
            assert not await town.follows(ALICE, BOB), turns.chosen

    assert await explore(play) > 10


# --- a block that was lifted ------------------------------------------------------------------------------------------


async def _blocked_half_way(turns: Turns, follows: bool) -> tuple[Town, Event]:
    """Bob's server died right after it had written the block, so an edge from before still stands."""
    town = Town(turns, frozenset())
    if follows:
        await town.server().follow(town.call(ALICE), BOB)
    with pytest.raises(Dies):
        await town.deed("bob", "block", BOB, ALICE, "write_block")
    (event,) = [event for event in await town.events() if event.kind is EventKind.BLOCK]
    return town, event


async def _lift_and_follow(town: Town, clock: TestClock | None = None) -> None:
    gated = Gated(town.turns, "follow", OF_EDGES)
    await town.server(gated, clock).unblock(town.call(BOB), ALICE)
    await town.server(gated, clock).follow(town.call(ALICE), BOB)


def _lifted_while_it_is_applied(follows: bool, behind_ms: int) -> Play:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town, event = await _blocked_half_way(turns, follows)
        worker = await town.applier(Gated(turns, "worker", OF_EDGES | {"cut_edge"}))
        late = TestClock(town.clock.now_ms() - behind_ms)
        answers = await turns.play(
            {"worker": worker.block(event), "follow": _lift_and_follow(town, late)},
            choices,
        )
        _ended(answers["worker"])
        if _ended(answers["follow"]):
            assert await town.follows(ALICE, BOB), turns.chosen

    return play


@pytest.mark.parametrize("behind_ms", [0, 900])
@pytest.mark.parametrize("follows", [True, False])
async def test_edge_E21_no_late_cut_of_a_lifted_block_takes_an_acked_follow_away(follows: bool, behind_ms: int) -> None:
    """`behind_ms`: the clock of who lifts and follows, behind that of who blocked."""
    assert await explore(_lifted_while_it_is_applied(follows, behind_ms)) > 20


async def test_edge_E21_a_block_that_is_lifted_while_it_cuts_leaves_the_follow_after_it() -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = Town(turns, OF_EDGES)
        await town.server().follow(town.call(ALICE), BOB)
        answers = await turns.play(
            {"block": town.deed("block", "block", BOB, ALICE), "follow": _lift_and_follow(town)}, choices
        )
        _ended(answers["block"])
        acked, block = _ended(answers["follow"]), await town.store.block(BOB, ALICE)
        assert block is not None
        # Only where the block came before: otherwise there was nothing to lift.
        if acked and not block.on:
            assert await town.follows(ALICE, BOB), turns.chosen
        assert not (block.on and await town.follows(ALICE, BOB)), turns.chosen

    assert await explore(play) > 100


async def test_edge_E21_a_follow_said_again_at_its_old_version_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Edges, "_version", lambda self, old, blocks=(): max(old.version_us, 1) if old else 1)
    with pytest.raises(AssertionError):
        await explore(_lifted_while_it_is_applied(True, 0))


async def test_edge_E21_an_old_edge_that_stands_from_before_a_block_is_written_anew() -> None:
    town, _ = await _blocked_half_way(Turns(), follows=True)
    await town.server().unblock(town.call(BOB), ALICE)
    town.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1)
    await town.server().follow(town.call(ALICE), BOB)
    edge = await town.store.edge(ALICE, BOB)
    assert edge is not None
    assert edge.on
    assert edge.version_us // 1000 == town.clock.now_ms()
    town.clock.advance(EDGE_CERTAIN_AFTER_S * 1000 + 1)
    await town.server().follow(town.call(ALICE), BOB)
    assert await town.store.edge(ALICE, BOB) == edge, "younger than every block row: nothing to write"


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_edge_E13_a_block_and_a_request_leave_no_request_in_any_order() -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = Town(turns, frozenset({"block", "write_block", "follow_request", "write_follow_request"}))
        town.protect(BOB)
        answers = await turns.play(
            {"block": town.deed("block", "block", BOB, ALICE), "ask": town.deed("ask", "follow", ALICE, BOB)}, choices
        )
        _ended(answers["ask"])
        assert answers["block"].settled
        assert not await town.asks(ALICE, BOB), turns.chosen
        assert not await town.follows(ALICE, BOB), turns.chosen

    assert await explore(play) > 100


async def _asked(turns: Turns, steps: frozenset[str] = STEPS - {"block"}) -> Town:
    town = Town(turns, steps)
    town.protect(BOB)
    assert (await town.server().follow(town.call(ALICE), BOB)).requested
    return town


async def test_edge_E19_a_block_and_an_approval_leave_no_edge_in_any_order() -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = await _asked(turns, OF_EDGES)
        answers = await turns.play(
            {"block": town.deed("block", "block", ALICE, BOB), "yes": town.deed("yes", "approve", BOB, ALICE)}, choices
        )
        _ended(answers["yes"])
        assert answers["block"].settled
        assert not await town.follows(ALICE, BOB), turns.chosen
        assert not await town.asks(ALICE, BOB), turns.chosen

    assert await explore(play) > 100


def _withdrawal_meets_approval(withdraw: tuple[str, int, int]) -> Play:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = await _asked(turns)
        answers = await turns.play(
            {"no": town.deed("no", *withdraw), "yes": town.deed("yes", "approve", BOB, ALICE)}, choices
        )
        approved = _ended(answers["yes"])
        assert _ended(answers["no"])
        assert not await town.asks(ALICE, BOB), turns.chosen
        if withdraw[0] == "unfollow":  # it ends the edge as well, so whatever the order, none is left
            assert not await town.follows(ALICE, BOB), turns.chosen
        else:  # an approval that was acked came first
            assert await town.follows(ALICE, BOB) == approved, turns.chosen

    return play


@pytest.mark.parametrize("withdraw", [("unfollow", ALICE, BOB), ("deny", BOB, ALICE)])
async def test_edge_E20_a_withdrawal_and_an_approval_agree_in_any_order(withdraw: tuple[str, int, int]) -> None:
    assert await explore(_withdrawal_meets_approval(withdraw)) > 20


async def test_edge_E19_an_approval_that_does_not_look_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blind(self: FollowRequests, *args: object) -> bool:
        return True

    monkeypatch.setattr(FollowRequests, "_answered", blind)
    with pytest.raises(AssertionError):
        await explore(_withdrawal_meets_approval(("unfollow", ALICE, BOB)))


async def test_edge_E19_two_approvals_do_not_take_each_other_for_a_withdrawal() -> None:
    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = await _asked(turns)
        answers = await turns.play({id_: town.deed(id_, "approve", BOB, ALICE) for id_ in ("one", "two")}, choices)
        assert _ended(answers["one"]), turns.chosen
        assert _ended(answers["two"]), turns.chosen
        assert await town.follows(ALICE, BOB), turns.chosen
        assert not await town.asks(ALICE, BOB), turns.chosen

    assert await explore(play) > 100


@pytest.mark.parametrize("answer", ["approve", "deny"])
async def test_edge_E18_no_answer_to_an_old_request_undoes_a_follow_of_an_account_open_again(answer: str) -> None:
    """An approval would take it for a withdrawal; a denial writes that there is no edge."""

    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = await _asked(turns)
        town.open_again(BOB)
        answers = await turns.play(
            {"answer": town.deed("answer", answer, BOB, ALICE), "follow": town.deed("follow", "follow", ALICE, BOB)},
            choices,
        )
        _ended(answers["answer"])
        assert _ended(answers["follow"])
        assert await town.follows(ALICE, BOB), turns.chosen
        assert not await town.asks(ALICE, BOB), turns.chosen

    assert await explore(play) > 50


async def test_edge_E20_following_again_brings_no_edge_back_that_a_protected_account_denied() -> None:
    """An approval sees the denial and takes its edge away; who asked follows again meanwhile."""

    async def play(turns: Turns, choices: Sequence[str]) -> None:
        town = await _asked(turns, frozenset({"edge", "write_edge", "write_follow_request"}))
        answers = await turns.play(
            {
                "yes": town.deed("yes", "approve", BOB, ALICE),
                "no": town.deed("no", "deny", BOB, ALICE),
                "follow": town.deed("follow", "follow", ALICE, BOB),
            },
            choices,
        )
        _ended(answers["follow"])
        assert _ended(answers["no"])
        assert _ended(answers["yes"]) or not await town.follows(ALICE, BOB), turns.chosen

    assert await explore(play) > 400
