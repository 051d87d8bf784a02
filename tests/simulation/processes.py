"""The real services and workers, as processes of a simulated world."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from rookery_server.cache.interface import Cache
from rookery_server.domain.errors import Outcome, RookeryError
from rookery_server.domain.fanout import Crossing
from rookery_server.domain.minting import IdMinter, WallGuard
from rookery_server.domain.models import Reference, Reply, Tweet
from rookery_server.metrics import Metrics
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.accounts import Accounts
from rookery_server.services.calls import Call
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.clock_gate import ClockGate
from rookery_server.services.graph import Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.hydrate import Hydration
from rookery_server.services.leasing import WorkerIdKeeper
from rookery_server.services.live import LiveSettings, LiveTimelines
from rookery_server.services.moderation import Moderation
from rookery_server.services.pages import TimelinePage
from rookery_server.services.quotas import LIMITS, LocalQuotas
from rookery_server.services.sight import Sight
from rookery_server.services.skeleton import Skeletons
from rookery_server.services.tiers import TierDirectory
from rookery_server.services.tweets import Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.simulation.ledger import Ledger
from tests.support.faults import Process

PATIENCE_S = 5.0
"""A client waits so long for an answer, and knows nothing then."""
DEADLINE_S = 4.0
LIVE = LiveSettings(heartbeat_s=4.0, poll_s=0.5)
METRICS = Metrics()
"""Of all processes: nobody looks at them."""


class PlainCodec:
    """Bytes a person can read: id, author, what it answers, what it quotes, text."""

    def encode(self, tweet: Tweet) -> bytes:
        reply, quoted = tweet.reply, tweet.quoted
        answers = f"{reply.to_id},{reply.to_author_id},{reply.root_id}" if reply else ""
        quotes = f"{quoted.id},{quoted.author_id}" if quoted else ""
        return f"{tweet.id}:{tweet.author_id}:{answers}:{quotes}:{tweet.text}".encode()

    def decode(self, body: bytes) -> Tweet:
        return parsed(body)


@functools.lru_cache(maxsize=8192)
def parsed(body: bytes) -> Tweet:
    id_, author, answers, quotes, text = body.decode().split(":", 4)
    reply = Reply(*map(int, answers.split(","))) if answers else None
    quoted = Reference(*map(int, quotes.split(","))) if quotes else None
    return Tweet(int(id_), int(author), text, 0, reply=reply, quoted=quoted)


@dataclass(frozen=True)
class Answer:
    """`outcome`: ok, fail or info; `value` with ok, `error` with fail."""

    outcome: str
    value: Any = None
    error: BaseException | None = None


PAGE_BEGAN: contextvars.ContextVar[float] = contextvars.ContextVar("page began")


class TimedPages:
    """Home pages that remember, for the task that reads them, when the last one was asked for."""

    def __init__(self, home: HomeTimelines, process: Process) -> None:
        self._home, self._process = home, process

    async def page(self, *arguments: Any, **named: Any) -> TimelinePage:
        PAGE_BEGAN.set(self._process.clock.monotonic())
        return await self._home.page(*arguments, **named)


class Server:
    """What `rookery serve` is made of, without the transport."""

    def __init__(self, process: Process, store: Store, cache: Cache, choice: random.Random, crossing: Crossing) -> None:
        self.process, clock = process, process.clock
        self._guard = WallGuard(clock)
        self._gate = ClockGate(store, self._guard)
        self._worker_id = WorkerIdKeeper(store, clock, process.name, self._gate, self._guard, choice=choice)
        mint = IdMinter(clock, self._worker_id, self._gate, self._guard, pause=clock.pause).mint
        self._claims = ClaimTracker(cache, store.shards, clock, self._gate)
        writes, codec, users = StartedWrites(clock, mint), PlainCodec(), KnownUsers(store)
        hydration, quotas = Hydration(store, cache), LocalQuotas(clock, dict.fromkeys(LIMITS, 10**9))
        accounts, changes = Accounts(store, cache, clock), AccountChanges(store, cache, clock, mint, writes)
        self._tiers = TierDirectory(store, clock, crossing)
        sight = Sight(store, cache, clock, accounts, self._tiers)
        skeletons = Skeletons(store, cache, clock, mint, self._claims, self._tiers)
        self.tweets = Tweets(store, cache, clock, mint, codec, hydration, sight, quotas, writes)
        self.graph = Graph(store, cache, clock, mint, users, sight, quotas, writes)
        self.users = Users(store, clock, mint, users, accounts, changes, quotas, writes)
        self.moderation = Moderation(changes)
        self.home = HomeTimelines(skeletons, clock, codec, hydration, sight.facts)
        self.profiles = UserTimelines(store, clock, codec, users, sight, self._claims)
        self.live = LiveTimelines(TimedPages(self.home, process), cache, clock, self._gate, LIVE)

    async def run(self) -> None:
        await self._gate.measure()
        await self._worker_id.step()
        await asyncio.gather(self._gate.run(), self._worker_id.run(), self._claims.run(), self._tiers.run())

    def call(self, user: int) -> Call:
        return Call(user, self.process.clock.monotonic() + DEADLINE_S)

    def admin(self) -> Call:
        return Call(0, self.process.clock.monotonic() + DEADLINE_S, admin=True)

    async def ask(self, work: Coroutine[Any, Any, Any]) -> Answer:
        """Runs a use case in the process, as a client sees it that cannot wait for ever."""
        task = self.process.spawn(work)
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done() or task.cancelled():
            return Answer("info")
        error = task.exception()
        if error is None:
            return Answer("ok", task.result())
        if not isinstance(error, RookeryError):
            raise error
        return Answer("info" if error.outcome is Outcome.UNKNOWN else "fail", error=error)


def worker(
    process: Process, store: Store, cache: Cache, settings: WorkerSettings, choice: random.Random, ledger: Ledger
) -> Worker:
    made = Worker(
        store, cache, process.clock, settings, process.name, METRICS, sleep=process.sleep, choice=choice
    )  # fmt: skip
    ledger.watch(made, store, cache)
    return made
