"""One history: a few people, two servers, two workers, three stores' replicas, three cache nodes, and what goes wrong.

Everything is drawn from one seed.  `simulate` runs it to its end and raises `Wrong` at the first broken promise.
"""

from __future__ import annotations

import asyncio
import logging
import random
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from rookery_server.cache import keys
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain import events
from rookery_server.domain import ids as snowflake
from rookery_server.domain.errors import RookeryError
from rookery_server.domain.fanout import ALL_PUSH, Crossing, Thresholds
from rookery_server.domain.models import Profile, Tweet, User
from rookery_server.store.interface import Count, CountKind
from rookery_server.store.memory import EVERYWHERE, Cell, MemoryStoreWorld, Mutation
from rookery_server.workers.settings import WorkerSettings
from tests.simulation import people, readers, sizes, society
from tests.simulation.ledger import Ledger
from tests.simulation.processes import PlainCodec, Server, worker
from tests.simulation.society import Society
from tests.simulation.streams import Listening, Streams
from tests.simulation.troubles import ACTIVE_S, Climate, Troubles
from tests.simulation.truth import Truth
from tests.support.faults import (
    START_MS,
    CacheFaults,
    Chance,
    Process,
    SkewedClock,
    StoreFaults,
    Trace,
    Weather,
    group_tasks,
)
from tests.support.oracle import Oracle
from tests.support.registers import Register
from tests.support.virtual_time import VirtualTimeLoop, run

SHARDS = 3
SKEW_MS = 900
"""Below the bound of a second a process may be off and not notice."""
SETTINGS = WorkerSettings(
    follower_page=3, audit_ages_s=(5, 10, 20, 30), late_print_after_s=5.0, count_after_s=0.5, count_within_s=3.0,
    thresholds=ALL_PUSH,
)  # fmt: skip
"""Small pages and quick audits, so that a minute holds what otherwise takes a day."""
CROSSING = Crossing(
    announce_s=15.0, merge_s=22.0, rebuild_after_s=6.0, relations_life_s=4.0, directory_s=0.5, directory_max_age_s=2.0
)
"""As long as its parts ask for: a load may take 5 s more, two clocks differ by 2 s."""
QUIET_CLAIM_S = 10.0
"""After quiet a page claims at least so much."""
AUDITED_AFTER_S = 8.0
"""What arrives later than this after its id may be found only by an audit."""


@dataclass
class Outcome:
    """What a history amounted to."""

    seed: int
    trace: str
    pages: int
    shown: int
    posts: int
    crashes: int
    virtual_s: float


class History(Streams, Society, Troubles):
    def __init__(self, seed: int, trace: Trace, loop: VirtualTimeLoop, climate: Climate | None = None) -> None:
        self.seed, self.loop, self.trace, self.climate = seed, loop, trace, climate
        self.weather = Weather()
        self.chance = Chance(seed, loop, trace, self.weather)
        self.dice = self.chance.dice
        self.true_clock = SkewedClock(loop)
        self.store = MemoryStoreWorld(self.true_clock, SHARDS)
        self.draw_sizes()
        self.cache = MemoryCacheWorld(
            self.true_clock,
            replicated=climate.replicated if climate else self.dice.random() < 0.7,
            relations_life_s=self.settings.crossing.relations_life_s,
        )
        self.oracle = Oracle()
        self.listening: list[Listening] = []
        self.people = list(range(1, self.dice.choice([4, 6, 8]) + 1))
        self.servers: list[Server] = []
        self.workers: list[Process] = []
        self.active_until = 0.0
        self.crashes = self._names = self.texts = 0
        self._wrong: BaseException | None = None
        self.ledger = Ledger(SHARDS, self.cache, self._broke)

    # --- what was there before ----------------------------------------------------------------------------------

    def draw_sizes(self) -> None:
        """Some histories have tiers, some shallow lists, some more blockers than relations carry."""
        dice, climate = self.dice, self.climate
        drawn = {name for name in sizes.KINDS if dice.random() < 0.35}
        kinds = drawn if climate is None else set(climate.sizes)
        self.sizes: dict[str, int] = {}
        self.settings = SETTINGS
        for name in sizes.KINDS:
            if name in kinds:
                self.sizes |= sizes.KINDS[name]
        if "tiers" in kinds:
            thresholds = Thresholds(broad_from=2, pull_from=dice.choice([2, 3, 4, 5]))
            self.settings = replace(SETTINGS, thresholds=thresholds, crossing=CROSSING)

    def seed_world(self) -> None:
        for person in self.people:
            self.store.users[person] = User(person, f"user{person}", Profile(), START_MS, "e")
            for other in self.people:
                if person != other and self.dice.random() < 0.6:
                    self.oracle.follows[person, other] = Register(True)
                    self._put("following", person, other, Cell(True, 1))
                    self._put("followers", other, person, Cell(True, 1))
            for at in range(self.dice.choice([0, 3, 3, 10, 10, 240])):
                self._seed_tweet(person, at)

    async def count_world(self) -> None:
        """As the workers of yesterday left it."""
        store = self.store.client()
        for one in self.people:
            wanted = {(CountKind.FOLLOWERS, part) for part in store.count_parts(CountKind.FOLLOWERS, one)}
            wanted |= {(CountKind.FOLLOWING, part) for part in store.count_parts(CountKind.FOLLOWING, one)}
            rows = (await store.user_tweets(one, None, 1_000)).rows
            wanted |= {
                (CountKind.TWEETS, part) for row in rows for part in store.count_parts(CountKind.TWEETS, row.tweet_id)
            }
            for kind, part in sorted(wanted):
                await store.write_count(Count(one, kind, part, await store.recount(one, kind, part), 1))

    def _seed_tweet(self, author: int, at: int) -> None:
        age_ms = self.dice.randrange(60_000, 30 * 86_400_000)
        tweet_id = snowflake.compose(START_MS - age_ms, 1000, at)
        text = f"old {author} {at}"
        body = PlainCodec().encode(Tweet(tweet_id, author, text, 0))
        cell = Cell((author, body), snowflake.write_timestamp_us(tweet_id))
        self._put("tweets", tweet_id, tweet_id, cell)
        self._put("user_tweets", author, tweet_id, cell)
        self.oracle.seeded(author, text, tweet_id)

    def _put(self, table: str, partition: int, key: int, cell: Cell) -> None:
        for replica in EVERYWHERE:
            self.store.apply(replica, Mutation(table, partition, key, cell))

    # --- processes ----------------------------------------------------------------------------------------------

    def _process(self, kind: str) -> Process:
        self._names += 1
        clock = SkewedClock(self.loop, self.dice.uniform(-SKEW_MS, SKEW_MS))
        process = Process(f"{kind}-{self._names}", self.loop, clock)
        self.trace.note(self.loop.now, process.name, "starts", clock.offset_ms)
        return process

    def _choice(self) -> random.Random:
        return random.Random(self.dice.getrandbits(32))

    def start_server(self) -> Server:
        process = self._process("server")
        store = self.store.client(process.clock, StoreFaults(self.chance, process))
        cache = self.cache.client(process.clock, CacheFaults(self.chance, process))
        self.ledger.listen(store, process.clock)
        server = Server(process, store, cache, self._choice(), self.settings.crossing)
        self._watch(process.spawn(server.run()))
        return server

    def start_worker(self) -> Process:
        process = self._process("worker")
        store = self.store.client(process.clock, StoreFaults(self.chance, process))
        cache = self.cache.client(process.clock, CacheFaults(self.chance, process))
        self._watch(process.spawn(worker(process, store, cache, self.settings, self._choice(), self.ledger).run()))
        return process

    def _watch(self, task: asyncio.Task[object]) -> None:
        """A process that dies of a bug ends the history."""

        def ended(done: asyncio.Task[object]) -> None:
            error = None if done.cancelled() else done.exception()
            if error is not None:
                self._broke(error)

        task.add_done_callback(ended)

    def _broke(self, error: BaseException) -> None:
        """Whatever is seen first ends the history."""
        self._wrong = self._wrong or error

    def unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody waited for: a refusal is nobody's loss, anything else is a bug."""
        error = context.get("exception")
        if error is not None and not isinstance(error, RookeryError | asyncio.CancelledError):
            self._broke(error)

    async def _respawn(self) -> None:
        """In place of what crashed, a new process comes up a little later."""
        while True:
            await asyncio.sleep(0.25)
            for at, server in enumerate(self.servers):
                if not server.process.alive:
                    self.crashes += 1
                    await asyncio.sleep(self.dice.uniform(0.1, 3.0))
                    self.servers[at] = self.start_server()
            for at, process in enumerate(self.workers):
                if not process.alive:
                    self.crashes += 1
                    await asyncio.sleep(self.dice.uniform(0.1, 5.0))
                    self.workers[at] = self.start_worker()

    # --- people -------------------------------------------------------------------------------------------------

    async def _client(self) -> None:
        weights = people.DEEDS | readers.DEEDS | society.DEEDS
        if self.climate is not None:
            weights = people.DEEDS | readers.DEEDS | society.EDGES | dict(self.climate.deeds)
        deeds: list[Callable[[], Awaitable[object]]] = [getattr(self, name) for name in weights]
        while True:
            await asyncio.sleep(self.dice.choice([0.0, 0.05, 0.4, 1.0]))
            await self.dice.choices(deeds, list(weights.values()))[0]()

    # --- from the beginning to the end --------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self.trace.close()

    async def _run(self) -> None:
        self.seed_world()
        await self.count_world()
        self.servers = [self.start_server() for _ in range(2)]
        self.workers = [self.start_worker() for _ in range(2)]
        await asyncio.sleep(self.dice.uniform(0.5, 6.0))
        self.brew()
        busy = [self.loop.create_task(self._client()) for _ in range(3)]
        busy.append(self.loop.create_task(self._watcher()))
        busy += [
            self.loop.create_task(self._listener())
            for _ in range(self.climate.listeners if self.climate else self.dice.choice([0, 1, 2]))
        ]
        busy += [self.loop.create_task(self._trouble()), self.loop.create_task(self._respawn())]
        await self._while_well(busy, self.climate.active_s if self.climate else self.dice.choice(ACTIVE_S))
        self.weather.calm()
        self.active_until = self.loop.now
        await self._end(busy[:-2])
        await self._quiet(busy)

    async def _while_well(self, tasks: list[asyncio.Task[None]], seconds: float) -> None:
        until = self.loop.now + seconds
        while self.loop.now < until:
            done, _ = await asyncio.wait(tasks, timeout=min(1.0, until - self.loop.now), return_when="FIRST_EXCEPTION")
            for task in done:
                task.result()
            if self._wrong is not None:
                raise self._wrong
            tasks = [task for task in tasks if not task.done()]

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _quiet(self, busy: list[asyncio.Task[None]]) -> None:
        """Whatever was begun ends, whoever was away comes back, whatever is late arrives; then it must all be there."""
        await self._while_well(busy[-2:], 6.0)  # a fault under way ends by itself
        await self._end(busy[-2:-1])
        for node in self.cache.nodes.values():
            if node.dead:
                node.restart_empty()
            node.resume()
            node.run_backlog()
            node.replicate()
        for process in [*self.workers, *(server.process for server in self.servers)]:
            process.paused_until = 0.0
            process.clock.offset_ms = max(-SKEW_MS, min(SKEW_MS, process.clock.offset_ms))
        while self.chance.late:
            await self._while_well(busy[-1:], 1.0)
        self.chance.quiet = True
        await self._while_well(busy[-1:], max(25.0, self._audited_at() - self.loop.now))
        await self._end(busy[-1:])
        await self._final_pages()

    def _audited_at(self) -> float:
        """When whatever came late was found, at the latest by the last audit of the last window."""
        if self.chance.latest_s <= AUDITED_AFTER_S:
            return 0.0
        border_ms = (events.window_of(snowflake.first_at(int(START_MS + self.active_until * 1000))) + 1) * 60_000
        return (border_ms - START_MS) / 1000 + self.settings.audit_ages_s[-1] + AUDITED_AFTER_S

    async def _final_pages(self) -> None:
        truth = Truth(self.store.client(), self.oracle, self.people, self._now_ms())
        await truth.learn()
        # What is kept of history may be ten minutes old, and says so: here all of it is to be new.
        for user in self.people:
            self.cache.node_of(user).delete(keys.history(user))
        for user in self.people:
            truth.check(user, await self._scrolled(user, self._now_ms() - QUIET_CLAIM_S * 1000))
        for one in self.listening:
            await self._last_messages(one, self._now_ms() - QUIET_CLAIM_S * 1000)
        await truth.check_counts()
        self.end_well()

    def end_well(self) -> None:
        if self._wrong is not None:
            raise self._wrong


def simulate(seed: int, trace: Trace | None = None, climate: Climate | None = None) -> Outcome:
    """Raises Wrong, or whatever a process died of."""
    logging.disable(logging.CRITICAL)
    loop, trace = VirtualTimeLoop.new(), trace or Trace()
    group_tasks(loop)
    history = History(seed, trace, loop, climate)
    loop.set_exception_handler(history.unhandled)
    try:
        with sizes.shrunk(history.sizes), warnings.catch_warnings():
            # Whoever dies leaves coroutines behind that never began.
            warnings.simplefilter("ignore", RuntimeWarning)
            run(history.run(), loop, history.chance.end)
    finally:
        logging.disable(logging.NOTSET)
    oracle = history.oracle
    return Outcome(seed, trace.hash(), oracle.pages, oracle.shown, history.texts, history.crashes, loop.now)
