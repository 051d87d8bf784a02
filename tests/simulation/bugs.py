"""Bugs on purpose: what each rule prevents, put in by patching from here.  Nothing in the product knows of them.

Each is a rule left out: the simulation must see what happens then.  `SEEDS` says within how many histories.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from rookery_server.cache.interface import Delivered, Link
from rookery_server.cache.memory import MemoryCache, Node, bodies, lists
from rookery_server.cache.memory import relations as cached_relations
from rookery_server.cache.memory.placing import under_build
from rookery_server.cache.memory.relations import stored
from rookery_server.cache.memory.values import StoredRelations
from rookery_server.domain import ids, limits
from rookery_server.domain.events import Event, EventKind
from rookery_server.services.claims import Snapshot
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import TweetRow
from rookery_server.workers.apply import Applier
from rookery_server.workers.audits import Verdict
from rookery_server.workers.fanout import FanOut
from rookery_server.workers.fleet import Fleet
from rookery_server.workers.log_reader import ShardLog
from rookery_server.workers.recovery import Recovery
from tests.support.faults import StoreFaults

Bug = Callable[[ExitStack], None]


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
        self: FanOut, event: Event, links: Mapping[str, Link], in_place: bool, stop: Any
    ) -> tuple[int, frozenset[str]]:
        other = copy.copy(self)
        other._cache = NotYet(self._cache)
        followers, behind = await run(other, event, links, in_place, stop)
        placed = await self._cache.place_author(event.subject, event.target, links)
        return followers, behind | placed.behind

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
    """A build is stored whether or not its token is still in place (build B6)."""
    finish = lists._finish

    def careless(node: Node, key: bytes, token: int, gathered: Any, whole: bool, kept: int) -> bool:
        entries = lists.entries_of(node, key)
        if entries is None or entries[-1] != token:
            node.set(key, (token,), 60.0)
        return finish(node, key, token, gathered, whole, kept)

    stack.enter_context(patch.object(lists, "_finish", careless))


def builds_begin_without_a_token(stack: ExitStack) -> None:
    """What is delivered while a build gathers is overwritten by what it gathered (build B1)."""
    finished = lists.finished
    stack.enter_context(
        patch.object(lists, "finished", lambda pushed, gathered, whole, kept: finished((), gathered, whole, kept))
    )


def events_before_their_rows(stack: ExitStack) -> None:
    """An event is applied although its row cannot be read at a quorum yet (delivery D3)."""

    async def without_looking(self: Applier, event: Event) -> TweetRow:
        return TweetRow(event.target, event.subject, b"?", event.version)

    stack.enter_context(patch.object(Applier, "_tweet", without_looking))


def repeats_keep_the_event_id(stack: ExitStack) -> None:
    """A retry files its event under the old id, behind the readers (data model, law of attempts)."""
    attempt = StartedWrites.attempt

    async def with_old_id(self: StartedWrites, call: Any, event: Event, send: Any) -> Event:
        if event.kind is not EventKind.POST:
            return await attempt(self, call, event, send)
        other = copy.copy(self)
        other._ids = lambda: event.target
        return await attempt(other, call, event, send)

    stack.enter_context(patch.object(StartedWrites, "attempt", with_old_id))


def fills_overwrite(stack: ExitStack) -> None:
    """A cache fill without set-if-absent undoes a removal (removal R5)."""

    def overwrite(node: Node, tweet_id: int, framed: bytes) -> None:
        node.set(bodies.keys.body(tweet_id), framed, limits.BODY_LIFE_S)

    stack.enter_context(patch.object(bodies, "set_if_absent", overwrite))
    stack.enter_context(patch.object(lists, "set_if_absent", overwrite))


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


def builds_outlive_removals(stack: ExitStack) -> None:
    """A stub leaves the token of a build under way in place (removal R1)."""

    def stub(node: Node, user_id: int, version: int, *, once: bool) -> bool:
        old, key = stored(node, user_id), lists.keys.home(user_id)
        if once and old is not None and version in old.stubbed:
            return False
        new = StoredRelations(version, (version,)) if old is None else old.stub(version)
        node.set(lists.keys.relations(user_id), new, limits.RELATIONS_LIFE_S)
        if not under_build(lists.entries_of(node, key) or ()):
            node.delete(key)
        return True

    stack.enter_context(patch.object(cached_relations, "stub", stub))


def relations_are_stored_blindly(stack: ExitStack) -> None:
    """A loader stores what it read over whatever stands there by now (removal R2)."""

    async def blindly(self: MemoryCache, user_id: int, seen: bytes | None, relations: Any) -> bool:
        def put(node: Node) -> bool:
            value = StoredRelations(relations.version, (), relations)
            node.set(lists.keys.relations(user_id), value, limits.RELATIONS_LIFE_S)
            return True

        return (await self._ask(user_id, "store_relations", put))[1]

    stack.enter_context(patch.object(MemoryCache, "store_relations", blindly))


def settled_without_the_replica(stack: ExitStack) -> None:
    """A removal is called settled before its replica has it (removal R6)."""
    stack.enter_context(patch.object(Node, "confirmed", True))


def reads_of_one_replica(stack: ExitStack) -> None:
    """The truth is read below a quorum."""
    asked = StoreFaults.asked
    stack.enter_context(patch.object(StoreFaults, "asked", lambda self, operation: asked(self, operation)[:1]))


def removals_are_not_later(stack: ExitStack) -> None:
    """A removal carries its own clock's time, even where that is before what it removes (edge E1, removal R4)."""
    stack.enter_context(patch.object(ids, "later_timestamp_us", lambda new_id, old_us: ids.write_timestamp_us(new_id)))


SEEDS: dict[Bug, int] = {
    w_past_what_is_not_applied: 20,
    unacked_pushes_are_forgotten: 20,
    followers_before_the_author: 40,
    old_ids_are_pushed_on_top: 40,
    builds_ignore_the_token: 40,
    builds_begin_without_a_token: 40,
    events_before_their_rows: 40,
    repeats_keep_the_event_id: 40,
    fills_overwrite: 40,
    claims_ignore_links: 40,
    marks_survive_what_they_cover: 40,
    recovery_applies_nothing: 20,
    audits_see_nothing: 20,
    builds_outlive_removals: 40,
    relations_are_stored_blindly: 40,
    settled_without_the_replica: 40,
    reads_of_one_replica: 20,
    removals_are_not_later: 40,
}
BY_NAME = {bug.__name__: bug for bug in SEEDS}


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        bug(stack)
        yield
