"""Bugs on purpose, of relations, accounts, tiers, streams and counts: each a rule left out.

Put in by patching from here; nothing in the product knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from rookery_server.domain import rules
from rookery_server.domain.fanout import AuthorTier
from rookery_server.domain.limits import WATERMARK_LAG_MS
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.models import Block, Edge
from rookery_server.services import own_copies
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.blocks import Blocks
from rookery_server.services.calls import Call
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.counting import recount
from rookery_server.services.edges import EdgeChanged, Edges
from rookery_server.services.facts import FactFinder
from rookery_server.services.follow_requests import FollowRequests
from rookery_server.services.hydrate import Hydration
from rookery_server.services.live_progress import Progress
from rookery_server.services.pages import TimelinePage
from rookery_server.services.tiers import TierDirectory
from rookery_server.store.interface import CountKind
from rookery_server.workers import counts as recounting
from rookery_server.workers.relations import RelationApplier
from tests.simulation.plans import Bug, Plan
from tests.simulation.troubles import Climate

# --- blocks, mutes, requests ----------------------------------------------------------------------------------------


def follows_do_not_look_again(stack: ExitStack) -> None:
    """Follow does not read the blocks again after its batch (edge E11)."""

    async def nothing(self: Edges, call: Call, edge: Edge) -> None:
        return

    stack.enter_context(patch.object(Edges, "_unless_blocked", nothing))


def blocks_cut_nothing(stack: ExitStack) -> None:
    """Block leaves the edges to whoever applies its event (edge E10)."""

    async def nothing(self: Blocks, call: Call, block: Block) -> list[int]:
        return []

    stack.enter_context(patch.object(Blocks, "_cut_edges", nothing))


def blocks_stub_the_blocker_alone(stack: ExitStack) -> None:
    """The relations of the blocked stay as they were (edge E15)."""

    async def stub(self: Blocks, block: Block, change: int | None = None) -> bool:
        return await self._cache.stub_relations(block.blocker_id, block.version_us, change)

    stack.enter_context(patch.object(Blocks, "_stub", stub))


def requests_outlive_blocks(stack: ExitStack) -> None:
    """A block takes no request back, nor does whoever applies it (edge E13)."""
    block = Blocks.block

    async def unseen(self: RelationApplier, block: Block) -> None: ...

    async def without(self: Blocks, call: Call, blocked_id: int) -> EdgeChanged:
        async def nothing(requests: FollowRequests, target_id: int, requester_id: int) -> bool:
            return False

        with patch.object(self, "_requests", _With(self._requests, end=nothing)):
            return await block(self, call, blocked_id)

    stack.enter_context(patch.object(Blocks, "block", without))
    stack.enter_context(patch.object(RelationApplier, "_end_requests", unseen))


class _With:
    """An object with some methods replaced; they get the object first."""

    def __init__(self, of: Any, **methods: Any) -> None:
        self._of, self._methods = of, methods

    def __getattr__(self, name: str) -> Any:
        if name in self._methods:
            return lambda *arguments: self._methods[name](self._of, *arguments)
        return getattr(self._of, name)


def too_many_blockers_are_none(stack: ExitStack) -> None:
    """Blockers that are too many to carry count as nobody (removal R16)."""
    blocking = FactFinder._blocking

    async def carried(self: FactFinder, viewer: rules.Viewer, others: frozenset[int]) -> frozenset[int] | None:
        return frozenset() if viewer.relations.blocked_by is None else await blocking(self, viewer, others)

    stack.enter_context(patch.object(FactFinder, "_blocking", carried))


def mutes_end_with_the_copy(stack: ExitStack) -> None:
    """The end of a mute is looked at when relations are loaded, and not when a page is judged (removal R14)."""
    stack.enter_context(patch.object(rules, "is_muted", lambda relations, user_id, now_ms: user_id in relations.muted))


# --- accounts -------------------------------------------------------------------------------------------------------


def changes_settle_without_waiting(stack: ExitStack) -> None:
    """The servers' own copies are not waited for (account A11)."""

    async def at_once(self: AccountChanges, call: Call) -> bool:
        return True

    stack.enter_context(patch.object(AccountChanges, "_outlive_copies", at_once))


def own_copies_live_long(stack: ExitStack) -> None:
    """A server believes its own copies of accounts' standing for ten seconds (account A10)."""
    stack.enter_context(patch.object(own_copies, "COPY_LIFE_S", 10.0))


def deletes_pass_by_own_copies(stack: ExitStack) -> None:
    """Servers keep bodies of their own, and a delete does not wait for them (removal R11)."""
    cached = Hydration._cached

    async def with_copies(self: Hydration, tweet_ids: Sequence[int]) -> dict[int, bytes]:
        copies: dict[int, bytes] = vars(self).setdefault("copies", {})
        found = await cached(self, [id_ for id_ in tweet_ids if id_ not in copies])
        copies.update((id_, body) for id_, body in found.items() if body)
        return {id_: copies.get(id_) or found[id_] for id_ in tweet_ids if id_ in copies or id_ in found}

    stack.enter_context(patch.object(Hydration, "_cached", with_copies))


# --- tiers ----------------------------------------------------------------------------------------------------------


def readers_merge_from_the_switch_on(stack: ExitStack) -> None:
    """Readers do not merge from the announcement on (tier T2)."""
    stack.enter_context(
        patch.object(AuthorTier, "merged_at", lambda self, now_ms: self.pull == (now_ms >= self.switch_ms))
    )


def lists_are_not_rebuilt(stack: ExitStack) -> None:
    """A list from before the way back is used for ever (tier T5)."""
    stack.enter_context(patch.object(TierDirectory, "rebuild_before_ms", lambda self: 0))


# --- streams --------------------------------------------------------------------------------------------------------


def tokens_forget_what_was_sent(stack: ExitStack) -> None:
    """A resume token without the ids sent (live S10)."""
    cursor = Progress.cursor

    def without(self: Progress) -> LiveCursor:
        return replace(cursor(self), sent=())

    stack.enter_context(patch.object(Progress, "cursor", without))


def streams_go_only_upwards(stack: ExitStack) -> None:
    """What is older than the newest that was sent is left out, delivered late or not (live S5)."""
    take = Progress.take

    def upwards(self: Progress, page: TimelinePage) -> Any:
        newest = max(self._sent, default=0)
        send, then = take(self, page)
        return [at for at in send if page.tweet_ids[at] > newest], then

    stack.enter_context(patch.object(Progress, "take", upwards))


def streams_move_without_proof(stack: ExitStack) -> None:
    """A stream's T follows the clock, not what pages claim (live S6)."""
    take = Progress.take

    def onward(self: Progress, page: TimelinePage) -> Any:
        info = replace(page.info, complete_through_ms=page.info.complete_through_ms + 5_000)
        return take(self, replace(page, info=info))

    stack.enter_context(patch.object(Progress, "take", onward))


def rows_claim_by_any_clock(stack: ExitStack) -> None:
    """What is read from rows claims by a clock that nobody knows to agree (claim C11)."""

    def at_once(self: ClaimTracker) -> int:
        return self._clock.now_ms() - WATERMARK_LAG_MS

    stack.enter_context(patch.object(ClaimTracker, "by_rows_ms", at_once))


# --- counts ---------------------------------------------------------------------------------------------------------


def counts_are_deltas(stack: ExitStack) -> None:
    """What was counted is added to what stood there (count N4)."""

    async def added(store: Any, clock: Any, subject_id: int, kind: Any, part: int) -> dict[CountKind, int]:
        before = {one.part: one for one in (await store.counts([subject_id])).get(subject_id, ()) if one.kind is kind}
        total = await recount(store, clock, subject_id, kind, part)
        if part in before:
            counted_us = clock.now_ms() * 1000 + 1_000_000
            await store.write_count(replace(before[part], value=before[part].value + 1, counted_us=counted_us))
        return total

    stack.enter_context(patch.object(recounting, "recount", added))


# --- where to look --------------------------------------------------------------------------------------------------

BLOCKING = {"block": 20, "unblock": 20, "follow": 20, "quarrel": 15, "look_between": 20}
QUARRELS = Climate({"slow": 0.2}, (), BLOCKING)
QUOTES = Climate({}, (), {"block": 15, "unblock": 15, "follow": 20, "look": 40})
CROWDS = Climate({}, (), {"block": 25, "unblock": 10, "open_tweet": 40, "profile": 20}, sizes=("crowded",))
MUTES = Climate({}, (), {"mute": 25, "look": 40})
REQUESTS = Climate({}, (), {"protect": 15, "follow": 30, "block": 20, "unblock": 10, "look_between": 30})
STATES = {"suspend": 15, "unsuspend": 15, "leave": 8, "come_back": 8, "protect": 5, "look": 40, "open_tweet": 20}
CALM_STATES = Climate({}, (), STATES)
DELETES = Climate({}, (), {"delete": 30, "look": 40})
CROSSINGS = Climate({}, ("_cross",) * 5, {"post": 80, "follow": 0, "unfollow": 0}, active_s=70.0, sizes=("tiers",))
LONG_CROSSINGS = Climate({}, ("_cross",), {"follow": 0, "unfollow": 0}, active_s=90.0, sizes=("tiers",))
STREAMS = Climate({"own_fails": 0.5}, (), {"post": 60}, listeners=3)
LATE_STREAMS = Climate({"own_fails": 0.8, "slow_pages": 0.4}, ("_stop_node",), {"post": 60}, listeners=3)
WRONG_CLOCKS = Climate({"cache_refuses": 0.1}, ("_step_clock",), {"post": 60}, listeners=4)

PLANS: dict[Bug, Plan] = {
    follows_do_not_look_again: Plan(QUARRELS, 20, first=26),
    blocks_cut_nothing: Plan(QUARRELS, 20),
    blocks_stub_the_blocker_alone: Plan(QUOTES, 20, first=2),
    requests_outlive_blocks: Plan(REQUESTS, 20, first=3),
    too_many_blockers_are_none: Plan(CROWDS, 20),
    mutes_end_with_the_copy: Plan(MUTES, 20),
    changes_settle_without_waiting: Plan(CALM_STATES, 20),
    own_copies_live_long: Plan(CALM_STATES, 20),
    deletes_pass_by_own_copies: Plan(DELETES, 20),
    readers_merge_from_the_switch_on: Plan(CROSSINGS, 20, first=14),
    lists_are_not_rebuilt: Plan(LONG_CROSSINGS, 20),
    tokens_forget_what_was_sent: Plan(STREAMS, 20),
    streams_go_only_upwards: Plan(LATE_STREAMS, 20),
    streams_move_without_proof: Plan(LATE_STREAMS, 20),
    rows_claim_by_any_clock: Plan(WRONG_CLOCKS, 20, first=4),
    counts_are_deltas: Plan(CALM_STATES, 20),
}
