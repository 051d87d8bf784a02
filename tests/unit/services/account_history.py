"""Accounts changed and looked at by servers that crash, pause and disagree about the time, over failing engines and a
real worker: what anybody sees is compared with every state the row ever had."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain import ids
from rookery_server.domain.errors import RookeryError
from rookery_server.domain.models import Profile, User
from rookery_server.metrics import Metrics
from rookery_server.services.account_changes import AccountChanged, AccountChanges
from rookery_server.services.accounts import Accounts, Standing
from rookery_server.services.calls import Call
from rookery_server.services.moderation import Moderation
from rookery_server.services.quotas import LIMITS, LocalQuotas
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.writes import StartedWrites
from rookery_server.store.memory import MemoryStoreWorld
from rookery_server.workers.runner import Worker
from rookery_server.workers.settings import WorkerSettings
from tests.support.faults import START_MS, CacheFaults, Chance, Process, SkewedClock, StoreFaults, Trace, Weather
from tests.support.faults import group_tasks as group_tasks_of
from tests.support.virtual_time import VirtualTimeLoop, run

ACTIVE_S, QUIET_S = 25.0, 60.0
DEADLINE_S, PATIENCE_S = 4.0, 5.0
METRICS = Metrics()


class Wrong(AssertionError):
    """Somebody saw what was settled not to be."""


class Rows(dict[int, User]):
    """The table of accounts, and all that ever stood in it: by account, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.past: dict[int, list[User]] = {}

    def __setitem__(self, user_id: int, user: User) -> None:
        super().__setitem__(user_id, user)
        self.past.setdefault(user_id, []).append(user)

    def place(self, user: User) -> int:
        """Where in its past this row is.  Raises Wrong for one that never was."""
        for at, row in enumerate(self.past[user.id]):
            if row == user:
                return at
        raise Wrong(f"{user} never was")


class Server:
    def __init__(self, process: Process, history: History, number: int):
        self.process, self._last, self._number = process, 0, number
        store = history.store.client(process.clock, StoreFaults(history.chance, process))
        cache = history.cache.client(process.clock, CacheFaults(history.chance, process))
        writes = StartedWrites(process.clock, self.mint)
        quotas = LocalQuotas(process.clock, dict.fromkeys(LIMITS, 10**9))
        self.accounts = Accounts(store, cache, process.clock)
        self.changes = AccountChanges(store, cache, process.clock, self.mint, writes)
        self.moderation = Moderation(self.changes)
        self.users = Users(
            store, process.clock, self.mint, KnownUsers(store), self.accounts, self.changes, quotas, writes
        )  # fmt: skip

    def mint(self) -> int:
        self._last = max(self._last + 1, ids.compose(self.process.clock.now_ms(), self._number, 0))
        return self._last

    def call(self, user_id: int) -> Call:
        return Call(user_id, self.process.clock.monotonic() + DEADLINE_S)


@dataclass
class Floors:
    """The place in an account's past nothing older than which may be seen: of copied fields, and of anything."""

    copied: int = 0
    any: int = 0


@dataclass
class History:
    """`weather`: what is drawn otherwise.  `looks`, `settled`: how much was checked."""

    seed: int
    weather: Weather | None = None
    looks: int = 0
    settled: int = 0
    floors: dict[int, Floors] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loop = VirtualTimeLoop.new()
        group_tasks_of(self.loop)
        self.chance = Chance(self.seed, self.loop, Trace(), self.weather or Weather())
        self.dice = self.chance.dice
        if self.weather is None:
            self._brew(self.chance.weather)
        truth = SkewedClock(self.loop)
        self.rows = Rows()
        self.store = MemoryStoreWorld(truth, shards=2)
        self.store.users = self.rows
        self.cache = MemoryCacheWorld(truth, replicated=True)
        self.cache.adopt()
        self._numbers = itertools.count(1)
        self.people = [ids.compose(START_MS - 10**6, 900, number) for number in range(2)]
        for user_id in self.people:
            self.rows[user_id] = User(user_id, f"u{user_id % 10}", Profile(), 1, "first")
            self.floors[user_id] = Floors()

    def _brew(self, weather: Weather) -> None:
        choice = self.dice.choice
        weather.slow, weather.slow_reads_s = choice([0.0, 0.05, 0.2]), choice([0.3, 2.0, 7.0])
        weather.crash = choice([0.0, 0.002, 0.01])
        weather.store_refuses = choice([0.0, 0.02])
        weather.store_unknown = choice([0.0, 0.05])
        weather.cache_refuses = choice([0.0, 0.02])
        weather.cache_silent = choice([0.0, 0.02])

    def play(self) -> History:
        run(self._all(), self.loop, self.chance.end)
        return self

    async def _all(self) -> None:
        self.servers = [self._server() for _ in range(2)]
        self.worker = self._worker()
        await asyncio.sleep(5)
        lives = [asyncio.create_task(work) for work in (*self._lives(), self._troubles(), self._keep_alive())]
        await asyncio.wait(lives, timeout=ACTIVE_S, return_when=asyncio.FIRST_EXCEPTION)
        over = [task for task in lives if task.done()]
        for task in lives:
            task.cancel()
        for task in over:
            task.result()
        await self._quiet()
        for server, user_id in itertools.product(self.servers, self.people):
            await self._look(server, user_id, self.rows[user_id])

    def _lives(self) -> list[Coroutine[Any, Any, None]]:
        looking = [self._looker(user_id) for user_id in self.people for _ in range(4)]
        return looking + [self._changer(user_id) for user_id in self.people for _ in range(2)]

    # --- processes ----------------------------------------------------------------------------------------------

    def _process(self, name: str) -> Process:
        return Process(name, self.loop, SkewedClock(self.loop, self.dice.uniform(-900, 900)))

    def _server(self) -> Server:
        number = next(self._numbers)
        return Server(self._process(f"server {number}"), self, number)

    def _worker(self) -> Process:
        process = self._process(f"worker {next(self._numbers)}")
        worker = Worker(
            self.store.client(process.clock, StoreFaults(self.chance, process)),
            self.cache.client(process.clock, CacheFaults(self.chance, process)),
            process.clock, WorkerSettings(), process.name, METRICS, choice=self.dice,
        )  # fmt: skip
        process.spawn(worker.run())
        return process

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._restart()

    def _restart(self) -> None:
        self.servers = [server if server.process.alive else self._server() for server in self.servers]
        if not self.worker.alive:
            self.worker = self._worker()

    async def _quiet(self) -> None:
        self.chance.weather.calm()
        for node in self.cache.nodes.values():
            if node.dead:
                node.restart_empty()
            node.resume()
            node.replicate()
        self._restart()
        await asyncio.sleep(QUIET_S)

    async def _troubles(self) -> None:
        while True:
            await asyncio.sleep(self.dice.uniform(1, 8))
            node = self.dice.choice(list(self.cache.nodes.values()))
            kind = self.dice.choice(["stop", "cut", "lag", "fail over", "empty", "pause", "step"])
            server = self.dice.choice(self.servers).process
            if kind == "stop":
                node.stop()
                await asyncio.sleep(self.dice.uniform(0.1, 3))
                node.resume()
                node.run_backlog()
            elif kind == "cut":
                node.break_connections()
            elif kind == "lag":
                node.replicating = False
                await asyncio.sleep(self.dice.uniform(0.1, 2))
                node.replicate()
            elif kind == "fail over":
                node.replicating = False
                await asyncio.sleep(self.dice.uniform(0, 2))
                node.fail_over()
            elif kind == "empty":
                node.kill()
                await asyncio.sleep(self.dice.uniform(0, 1))
                node.restart_empty()
            elif kind == "pause":
                server.paused_until = self.loop.now + self.dice.choice([1.0, 4.0])
            else:
                server.clock.offset_ms = self.dice.uniform(-900, 900)

    # --- people -------------------------------------------------------------------------------------------------

    async def _ask(self, server: Server, work: Coroutine[Any, Any, Any]) -> Any:
        """The answer, or None: refused, failed, or never heard of again."""
        task = server.process.spawn(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, however late
        await asyncio.wait({task}, timeout=PATIENCE_S)
        if not task.done() or task.cancelled():
            return None
        with suppress(RookeryError):
            return task.result()
        return None

    async def _changer(self, user_id: int) -> None:
        while True:
            await asyncio.sleep(self.dice.choice([0.01, 0.3, 2.0]))
            copied, change = self._change(self.dice.choice(self.servers), user_id)
            changed = await change
            if changed is not None and changed.settled:
                self._settled(changed, copied)

    def _change(self, server: Server, user_id: int) -> tuple[bool, Awaitable[AccountChanged | None]]:
        users, call = server.users, server.call(user_id)
        name = f"u{user_id % 10}_{self.dice.randrange(3)}"
        kinds: list[tuple[bool, Callable[[], Coroutine[Any, Any, AccountChanged]]]] = [
            (True, lambda: users.set_protected(call, True)),
            (True, lambda: users.set_protected(call, False)),
            (True, lambda: users.deactivate(call)),
            (True, lambda: users.reactivate(call)),
            (True, lambda: users.reactivate(call)),
            (True, lambda: server.moderation.suspend(call, user_id)),
            (True, lambda: server.moderation.unsuspend(call, user_id)),
            (True, lambda: server.moderation.unsuspend(call, user_id)),
            (False, lambda: users.rename(call, name)),
        ]
        copied, change = self.dice.choice(kinds)
        return copied, self._ask(server, change())

    def _settled(self, changed: AccountChanged, copied: bool) -> None:
        floors, at = self.floors[changed.user.id], self.rows.place(changed.user)
        floors.any = max(floors.any, at)
        if copied:
            floors.copied = max(floors.copied, at)
        self.settled += 1

    async def _looker(self, user_id: int) -> None:
        while True:
            await asyncio.sleep(self.dice.choice([0.0, 0.05, 0.4]))
            await self._look(self.dice.choice(self.servers), user_id)

    async def _look(self, server: Server, user_id: int, expected: User | None = None) -> None:
        """Looks both ways.  `expected`: nothing but this may be seen."""
        floors = self.floors[user_id]
        copied, any_ = floors.copied, floors.any
        standing = await self._ask(server, server.accounts.standing([user_id]))
        allowed = [expected] if expected else self.rows.past[user_id][copied:]
        if standing is not None and standing[user_id] not in [Standing(row.protected, row.state) for row in allowed]:
            raise Wrong(f"{self.loop.now:.3f} {server.process.name} shows {standing}, which was no more")
        any_ = floors.any
        users = await self._ask(server, server.accounts.users([user_id]))
        if users is not None and (self.rows.place(users[user_id]) < any_ or (expected and users[user_id] != expected)):
            raise Wrong(f"{self.loop.now:.3f} {server.process.name} shows {users}, which was no more")
        if expected and (standing is None or users is None):
            raise Wrong("no answer in quiet times")
        self.looks += 1
