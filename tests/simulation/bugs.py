"""Bugs on purpose: what each rule prevents, put in by patching from here.  Nothing in the product knows of them.

Each is a rule left out: the simulation must see what happens then.  `PLANS` says where it looks and how long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Delivered, Link
from rookery_server.cache.memory import MemoryCache, Node, bodies, lists, placing
from rookery_server.cache.memory import relations as cached_relations
from rookery_server.cache.memory.relations import stored
from rookery_server.cache.memory.values import StoredRelations
from rookery_server.domain import ids, limits
from rookery_server.domain.events import Event, EventKind
from rookery_server.domain.fanout import Tier
from rookery_server.services import builds, skeleton
from rookery_server.services.authors import GatheredAuthors
from rookery_server.services.claims import Snapshot
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import TweetRow, UserTweetIds
from rookery_server.workers.apply import Applier
from rookery_server.workers.audits import Verdict
from rookery_server.workers.fanout import FanOut
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.log_reader import ShardLog
from rookery_server.workers.recovery import Recovery
from rookery_server.workers.relations import RelationApplier
from tests.simulation import society_bugs
from tests.simulation.history import simulate
from tests.simulation.plans import Bug, Plan
from tests.simulation.troubles import Climate
from tests.support.faults import StoreFaults, Trace
from tests.support.oracle import Wrong


def w_past_what_is_not_applied(stack: ExitStack) -> None:
    """W is written before the pushes it covers were acked (claim C2)."""
    stack.enter_context(patch.object(ShardLog, "settled_ms", lambda self: self._cursor_ms - limits.WATERMARK_LAG_MS))


def unacked_pushes_are_forgotten(stack: ExitStack) -> None:
    """A node that did not ack everything is not behind (claim C4)."""
    stack.enter_context(patch.object(Fleet, "suspect", lambda self, nodes, links: None))


def followers_before_the_author(stack: ExitStack) -> None:
    """A post is pushed to followers before it stands in its author's list (delivery D4)."""
    run = FanOut.run

    class NotYet:
        def __init__(self, cache: Any) -> None:
            self._cache = cache

        async def place_author(self, *arguments: Any) -> Delivered:
            return Delivered()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cache, name)

    async def reversed_run(
        self: FanOut, event: Event, links: Mapping[str, Link], in_place: bool, orders: Any
    ) -> tuple[Tier, frozenset[str]]:
        other = copy.copy(self)
        other._cache = NotYet(self._cache)
        tier, behind = await run(other, event, links, in_place, orders)
        placed = await self._cache.place_author(event.subject, event.target, links)
        return tier, behind | placed.behind

    stack.enter_context(patch.object(FanOut, "run", reversed_run))


def old_ids_are_pushed_on_top(stack: ExitStack) -> None:
    """A plain push whatever the age of the id (delivery D7)."""
    delivery = MemoryCache._delivery
    stack.enter_context(patch.object(limits, "PLAIN_PUSH_MS", 10**12))
    stack.enter_context(
        patch.object(
            MemoryCache, "_delivery", lambda self, tweet, follower, in_place: delivery(self, tweet, follower, False)
        )
    )


def builds_ignore_the_token(stack: ExitStack) -> None:
    """A build neither leaves a token nor looks for it: what is delivered while it gathers is lost (build B1, B6)."""
    begin, finish = MemoryCache.begin_home, MemoryCache.finish_home

    async def without(self: MemoryCache, user_id: int, token: int) -> Link | None:
        link = await begin(self, user_id, token)
        if link is not None:
            self._world.node_of(user_id).delete(keys.home(user_id))
        return link

    async def anyway(
        self: MemoryCache, user_id: int, token: int, ids: Any, whole: bool, version: int, link: Link, built_ms: int
    ) -> bool:
        self._world.node_of(user_id).set(keys.home(user_id), (token,), 60.0)
        return await finish(self, user_id, token, ids, whole, version, link, built_ms)

    stack.enter_context(patch.object(MemoryCache, "begin_home", without))
    stack.enter_context(patch.object(MemoryCache, "finish_home", anyway))


def pushes_during_a_build_are_dropped(stack: ExitStack) -> None:
    """What stands in front of the token is overwritten by what was gathered (build B1)."""
    finished = placing.finished
    stack.enter_context(
        patch.object(lists, "finished", lambda pushed, gathered, whole, kept: finished((), gathered, whole, kept))
    )


def rows_before_their_tokens(stack: ExitStack) -> None:
    """Author lists are read before their tokens stand: what is delivered in between is in none of them (build B4)."""
    load = GatheredAuthors._load_wave

    class Read:
        def __init__(self, found: dict[int, UserTweetIds]) -> None:
            self._found = found

        async def tweet_ids_by_user(self, before_ids: Any, limit: int) -> dict[int, UserTweetIds]:
            return self._found

    async def read_first(self: GatheredAuthors, authors: tuple[int, ...]) -> None:
        self._asked_store = True
        late = copy.copy(self)
        read: Any = Read(await self._store.tweet_ids_by_user(dict.fromkeys(authors), limits.AUTHOR_KEPT))
        late._store = read
        await load(late, authors)

    stack.enter_context(patch.object(GatheredAuthors, "_load_wave", read_first))


def events_before_their_rows(stack: ExitStack) -> None:
    """An event is applied although its row cannot be read at a quorum yet (delivery D3)."""

    async def without_looking(self: Applier, event: Event) -> TweetRow:
        return TweetRow(event.target, event.subject, b"?", event.version)

    stack.enter_context(patch.object(Applier, "_tweet", without_looking))
    stack.enter_context(patch.object(RelationApplier, "_current", lambda self, event, row: row))


def repeats_keep_the_event_id(stack: ExitStack) -> None:
    """A retry files its event under the old id, behind the readers (data model, law of attempts)."""
    attempt = StartedWrites.attempt

    async def with_old_id(self: StartedWrites, call: Any, event: Event, send: Any) -> Event:
        if event.kind is not EventKind.POST:
            return await attempt(self, call, event, send)
        other = copy.copy(self)
        other._new_id = lambda: event.target
        return await attempt(other, call, event, send)

    stack.enter_context(patch.object(StartedWrites, "attempt", with_old_id))
    stack.enter_context(patch.object(StartedWrites, "_in_time", lambda self, event, began: True))


def fills_overwrite(stack: ExitStack) -> None:
    """A cache fill without set-if-absent undoes a removal (removal R5)."""

    def overwrite(node: Node, tweet_id: int, framed: bytes) -> None:
        node.set(keys.body(tweet_id), framed, limits.BODY_LIFE_S)

    stack.enter_context(patch.object(bodies, "set_if_absent", overwrite))


def claims_ignore_links(stack: ExitStack) -> None:
    """Marks vouch for lists that were read over another connection (claim: links)."""
    stack.enter_context(patch.object(Snapshot, "vouches_for", lambda self, links: True))


def marks_survive_what_they_cover(stack: ExitStack) -> None:
    """The watermarks are kept elsewhere, and not lost with the pushes before them (claim C3)."""
    fail_over = Node.fail_over

    def apart(self: Node) -> None:
        marks = self.get(self.watermarks_key)
        fail_over(self)
        if marks is not None:
            self.set(self.watermarks_key, marks, None)

    stack.enter_context(patch.object(Node, "fail_over", apart))


def recovery_applies_nothing(stack: ExitStack) -> None:
    """A node that comes back is taken as it is (claim C5)."""

    async def nothing(self: Recovery, since_ms: int) -> None:
        self._first = False

    stack.enter_context(patch.object(Recovery, "_again_from", nothing))


def audits_see_nothing(stack: ExitStack) -> None:
    """What a batchlog brings after the readers have passed is never found (delivery D11)."""

    async def equal(self: ShardLog, window: int, rounds: int) -> Any:
        rows = await self._store.read(self.shard, window * 60_000, (window + 1) * 60_000)
        self._prints.judge(window, rounds, {row.event_id for row in rows})
        return Verdict(True), []

    stack.enter_context(patch.object(ShardLog, "audit", equal))


def lists_outlive_their_relations(stack: ExitStack) -> None:
    """A stub removes no list, and a list counts whatever relations it was built under (removal R1 and R3: each of the
    two alone is made good by the other)."""

    def stub(node: Node, user_id: int, version: int, change: int | None, life_s: float, *, once: bool) -> bool:
        old = stored(node, user_id)
        if once and old is not None and change in old.stubbed:
            return False
        new = (old or StoredRelations(-1)).stub(version, change)
        node.set(keys.relations(user_id), new, limits.RELATIONS_LIFE_S)
        return True

    stack.enter_context(patch.object(cached_relations, "stub", stub))
    for module in (skeleton, builds):
        stack.enter_context(patch.object(module, "usable", lambda read, relations, since_ms: read.exists))


def settled_without_the_replica(stack: ExitStack) -> None:
    """A removal is called settled before its replica has it (removal R6)."""
    stack.enter_context(patch.object(Node, "confirmed", True))


def checkpoints_ignore_w(stack: ExitStack) -> None:
    """The checkpoint follows the polls, not what was applied (delivery D13)."""
    save = ShardLog.save

    async def ahead(self: ShardLog) -> bool:
        self.checkpoint_ms = max(self.checkpoint_ms, self._cursor_ms)
        return await save(self)

    stack.enter_context(patch.object(ShardLog, "save", ahead))


def reads_of_one_replica(stack: ExitStack) -> None:
    """The truth is read below a quorum."""
    asked = StoreFaults.asked
    stack.enter_context(patch.object(StoreFaults, "asked", lambda self, operation: asked(self, operation)[:1]))


def removals_are_not_later(stack: ExitStack) -> None:
    """A removal carries its own clock's time, even where that is before what it removes (edge E1, removal R4)."""
    stack.enter_context(patch.object(ids, "later_timestamp_us", lambda new_id, old_us: ids.write_timestamp_us(new_id)))


SLOW_FAN_OUT = Climate({"slow_pages": 0.5, "own_fails": 0.8}, (), {"follow": 15, "unfollow": 15})
SLOW_PUSHES = Climate({"slow_pages": 0.5}, ("_restart_empty",), {"follow": 8, "unfollow": 8})
FULL_CACHE = Climate({"cache_full": 0.1})
LATE_BATCHES = Climate({"store_late": 0.4, "late_s": 30.0}, active_s=60.0)
LOST_BATCHES = Climate({"store_lost": 0.5}, active_s=60.0)
SLOW_BUILDS = Climate({"slow_gathers": 0.5}, (), {"post": 60, "follow": 20, "unfollow": 20})
SLOW_LOADS = Climate({"slow": 0.9, "slow_reads_s": 2.5}, (), {"post": 60, "follow": 30, "unfollow": 30})
SLOW_FILLS = Climate({"slow": 0.3, "slow_reads_s": 4.5}, ("_restart_empty",), {"delete": 30})
TORN_BATCHES = Climate({"store_torn": 0.8, "stub_fails": 0.7}, (), {"follow": 25, "unfollow": 25})
FAILOVERS = Climate({}, ("_fail_over", "_fail_over_at_once"), {"delete": 15}, replicated=True)
LAGGING_REPLICAS = Climate({"lagging_replica": 0.7}, (), {"follow": 10, "unfollow": 6})
SKEWED_CLOCKS = Climate({}, (), {"delete": 20, "follow": 10, "unfollow": 10})

DELIVERY_PLANS: dict[Bug, Plan] = {
    w_past_what_is_not_applied: Plan(SLOW_PUSHES, 10, first=1),
    unacked_pushes_are_forgotten: Plan(FULL_CACHE, 10),
    followers_before_the_author: Plan(SLOW_FAN_OUT, 20),
    old_ids_are_pushed_on_top: Plan(SLOW_PUSHES, 20, first=8),
    builds_ignore_the_token: Plan(SLOW_BUILDS, 20),
    pushes_during_a_build_are_dropped: Plan(SLOW_BUILDS, 20, first=1),
    rows_before_their_tokens: Plan(SLOW_LOADS, 60, first=56),
    lists_outlive_their_relations: Plan(SLOW_BUILDS, 20),
    events_before_their_rows: Plan(TORN_BATCHES, 20),
    repeats_keep_the_event_id: Plan(LOST_BATCHES, 20),
    audits_see_nothing: Plan(LATE_BATCHES, 20, first=5),
    fills_overwrite: Plan(SLOW_FILLS, 40),
    claims_ignore_links: Plan(FAILOVERS, 20, first=2),
    marks_survive_what_they_cover: Plan(FAILOVERS, 10, first=3),
    recovery_applies_nothing: Plan(FAILOVERS, 10),
    settled_without_the_replica: Plan(FAILOVERS, 20, first=1),
    checkpoints_ignore_w: Plan(SLOW_PUSHES, 10),
    reads_of_one_replica: Plan(LAGGING_REPLICAS, 10),
    removals_are_not_later: Plan(SKEWED_CLOCKS, 20),
}
PLANS = DELIVERY_PLANS | society_bugs.PLANS
BY_NAME = {bug.__name__: bug for bug in PLANS}


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        bug(stack)
        yield


def assert_caught(bug: Bug, plan: Plan) -> None:
    for seed in plan.order():
        try:
            with planted(bug):
                simulate(seed, Trace(digest=False), plan.climate)
        except Wrong:
            simulate(seed, Trace(digest=False), plan.climate)  # without the bug nothing is wrong with this history
            return
    pytest.fail(f"not caught in {plan.seeds} histories")
