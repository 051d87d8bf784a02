"""Processes that crash, links that fail: the hooks of the memory adapters, fed from one seeded source of chance."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rookery_server.cache.memory import CacheHooks, Refused
from rookery_server.domain.errors import CacheUnavailable, Outcome, StoreUnavailable
from rookery_server.store.memory import EVERYWHERE, Commit, StoreHooks
from tests.support.virtual_time import VirtualTimeLoop

START_MS: Final = 1_700_000_050_000
"""Unix ms at virtual time 0: towards the end of a window, so every history crosses a border."""

_DELIVERS = frozenset({"deliver", "place_author", "overwrite_deleted", "overwrite_relations", "overwrite_profile"})

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Trace:
    """A digest of everything that happened, in order: equal for two runs only if they are the same run.

    `lines`, when kept, are for people.  Without a digest nothing is taken down at all."""

    def __init__(self, keep: bool = False, digest: bool = True) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        self.lines: list[str] | None = [] if keep else None

        self._unread: list[tuple[object, ...]] = []
        self._closed = not digest

    def note(self, at: float, *what: object) -> None:
        if self._closed:
            return
        self._unread.append((at, *what))
        if len(self._unread) >= 1_000:
            self._digest_all()
        if self.lines is not None:
            self.lines.append(f"{at:.6f} " + " ".join(map(str, what)))

    def close(self) -> None:
        """What is told from now on belongs to no history: tasks that are ended die in any order."""
        self._closed = True

    def hash(self) -> str:
        self._digest_all()
        return self._digest.hexdigest()

    def _digest_all(self) -> None:
        """Many at a time: this is done for every await of a history."""
        self._digest.update(repr(self._unread).encode())
        self._unread.clear()


class SkewedClock:
    """A process's clock: `offset_ms` off true time, may be stepped; monotonic time is the loop's."""

    def __init__(self, loop: VirtualTimeLoop, offset_ms: float = 0.0) -> None:
        self._loop, self.offset_ms = loop, offset_ms

    def now_ms(self) -> int:
        return int(START_MS + self._loop.now * 1000 + self.offset_ms)

    def monotonic(self) -> float:
        return self._loop.now

    def pause(self, seconds: float) -> None:
        """In place of a blocking sleep of milliseconds: this process's time goes on without the others'."""
        self.offset_ms += seconds * 1000


class Process:
    """A group of tasks that dies as one.  Every task begun by one of its tasks is in the group (by context)."""

    def __init__(self, name: str, loop: VirtualTimeLoop, clock: SkewedClock) -> None:
        self.name, self.clock, self.alive, self.paused_until = name, clock, True, 0.0
        self._loop, self.sleep = loop, loop.sleep
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        return self._loop.create_task(work, context=context)

    def crash(self) -> None:
        """From now on no adapter call of it does anything or returns, so no `finally` can act."""
        self.alive = False
        for task in list(self.tasks):
            task.cancel()


def group_tasks(loop: VirtualTimeLoop) -> None:
    """Enters every new task into the group of the process it was begun by."""

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        context = options.get("context")
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(lambda done: process.tasks.pop(done, None))
        return task

    loop.set_task_factory(make)


@dataclass
class Weather:
    """How bad it is: probabilities per adapter call.  `calm` ends it all."""

    crash: float = 0.0
    store_refuses: float = 0.0
    store_unknown: float = 0.0
    store_late: float = 0.0
    """Of writes: the outcome is unknown, and each statement reaches each replica at its own time, or never."""
    store_lost: float = 0.0
    """Of writes: the outcome is unknown, and nothing happened."""
    lagging_replica: float = 0.0
    store_torn: float = 0.0
    """Of batches: one statement shows up to 1.5 s before the others."""
    slow: float = 0.0
    cache_refuses: float = 0.0
    cache_silent: float = 0.0
    cache_full: float = 0.0
    """Of deliveries: refused for want of memory, over a link that lives."""
    slow_pages: float = 0.0
    """Of reads of followers: they take seconds, as a large fan-out does."""
    slow_gathers: float = 0.0
    """Of reads of author lists: what they found is looked at seconds later."""
    own_fails: float = 0.0
    """Of a server's own placing of a new post: best effort, and it failed."""
    stub_fails: float = 0.0
    """Of a server's own overwrites of relations: the change is acked unsettled."""
    slow_reads_s: float = 0.3
    late_s: float = 12.0

    def calm(self) -> None:
        self.crash = self.store_refuses = self.store_unknown = self.store_late = 0.0
        self.cache_refuses = self.cache_silent = self.slow = self.lagging_replica = 0.0
        self.store_lost = self.cache_full = self.slow_pages = self.store_torn = 0.0
        self.slow_gathers = self.own_fails = self.stub_fails = 0.0


class Chance:
    """All of a history's randomness, its weather and its trace."""

    def __init__(self, seed: int, loop: VirtualTimeLoop, trace: Trace, weather: Weather) -> None:
        self.dice, self.loop, self.trace, self.weather = random.Random(seed), loop, trace, weather
        self.quiet = False
        """Calls take no time any more."""
        self.late, self.latest_s = 0, 0.0
        """Statements that are still to reach a replica, and the longest any of an unacked write was underway."""
        self._over = False
        self._limbo: list[asyncio.Future[None]] = []

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.dice.random() < probability

    def delay(self, least: float, most: float, slow: bool) -> float:
        """Of an answer, which mostly comes with what was waited for before: 0."""
        dice = self.dice
        return dice.uniform(least, most) if slow or dice.random() < 0.3 else 0.0

    async def limbo(self) -> None:
        """Where calls of dead processes are: nothing is heard of them before the history is over."""
        if not self._over:
            self._limbo.append(self.loop.create_future())
            await self._limbo[-1]
        raise asyncio.CancelledError

    def end(self) -> None:
        """Lets the dead go."""
        self._over = True
        for waiting in self._limbo:
            waiting.cancel()


class _Hooked:
    def __init__(self, chance: Chance, process: Process) -> None:
        self._chance, self._process = chance, process

    async def _pass(self, delay_s: float, pausable: bool, *what: str) -> None:
        """One await: the process may die here, and dead ones go no further."""
        chance, process, loop = self._chance, self._process, self._chance.loop
        if not process.alive:
            await chance.limbo()
        if chance.weather.crash > 0 and chance.happens(chance.weather.crash):
            chance.trace.note(loop.now, process.name, "crashes at", *what)
            process.crash()
            await chance.limbo()
        if delay_s > 0 and not chance.quiet:
            await loop.nap(delay_s)
        if pausable and process.paused_until > loop.now:
            await asyncio.sleep(process.paused_until - loop.now)
        if not process.alive:
            await chance.limbo()
        chance.trace.note(loop.now, process.name, *what)


class StoreFaults(_Hooked, StoreHooks):
    _WRITES = frozenset(
        {
            "post", "delete", "write_edge", "repair_mirror", "cut_edge", "write_block", "repair_block", "write_mute",
            "write_follow_request", "append", "replace_user", "set_tier", "write_count",
        }
    )  # fmt: skip
    _acked, _late_s = True, 0.0

    async def before(self, operation: str) -> None:
        chance, weather = self._chance, self._chance.weather
        slow = chance.happens(weather.slow)
        # A write that waits longer than this would outlive its attempt.
        await self._pass(chance.dice.uniform(0.0002, 0.5 if slow else 0.002), False, operation, "<")
        if weather.store_refuses and chance.happens(weather.store_refuses):
            raise StoreUnavailable
        if weather.store_unknown and chance.happens(weather.store_unknown):
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    async def after(self, operation: str) -> None:
        chance, weather = self._chance, self._chance.weather
        slow = chance.happens(weather.slow)
        most = 0.5 if operation in self._WRITES else weather.slow_reads_s
        if operation == "followers" and chance.happens(weather.slow_pages):
            slow, most = True, 12.0
        await self._pass(chance.delay(0.0002, most if slow else 0.002, slow), True, operation, ">")
        if chance.happens(weather.store_unknown):
            raise StoreUnavailable(outcome=Outcome.UNKNOWN)

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        chance, dice, self._acked = self._chance, self._chance.dice, True
        self._late_s = dice.choice([0.1, 3.0, 12.0])
        if chance.happens(chance.weather.store_lost):
            return Commit(((),) * len(tables), acked=False, lost=True)
        if chance.happens(chance.weather.store_late):
            self._acked = False
            self._late_s = dice.choice([0.1, 3.0, chance.weather.late_s])
            if dice.random() < 0.25:
                return Commit(((),) * len(tables), acked=False, lost=True)
            now = tuple(tuple(dice.sample(EVERYWHERE, dice.choice([0, 0, 1, 1, 2, 3]))) for _ in tables)
            return Commit(now, acked=False)
        if chance.happens(chance.weather.lagging_replica):
            away = dice.choice(EVERYWHERE)
            return Commit((tuple(replica for replica in EVERYWHERE if replica != away),) * len(tables))
        early = frozenset[int]()
        if len(tables) > 1 and chance.happens(chance.weather.store_torn):
            early = frozenset({dice.randrange(len(tables)), len(tables) - 1})
        return Commit((EVERYWHERE,) * len(tables), early=early)

    async def between(self, operation: str) -> None:
        # Not a place to die in silence: the coordinator goes on, whatever becomes of its client.
        await asyncio.sleep(self._chance.dice.uniform(0.0, 1.5))

    def later(self, apply: Callable[[], None]) -> None:
        def arrive() -> None:
            self._chance.late -= 1
            apply()

        self._chance.late += 1
        dice = self._chance.dice
        delay_s = self._late_s * dice.uniform(0.6, 1.0)
        if not self._acked:
            self._chance.latest_s = max(delay_s, self._chance.latest_s)
        self._chance.loop.call_later(delay_s, arrive)

    def asked(self, operation: str) -> tuple[int, ...]:
        away = self._chance.dice.randrange(3)
        return tuple(replica for replica in EVERYWHERE if replica != away)


class CacheFaults(_Hooked, CacheHooks):
    async def before(self, operation: str, node: str) -> None:
        chance, weather = self._chance, self._chance.weather
        slow = chance.happens(weather.slow)
        # Longer than the adapter's time-out nobody waits.
        await self._pass(chance.dice.uniform(0.0001, 0.2 if slow else 0.001), False, operation, node, "<")
        if weather.cache_refuses and chance.happens(weather.cache_refuses):
            raise CacheUnavailable
        if operation == "place_own" and chance.happens(weather.own_fails):
            raise CacheUnavailable
        if operation in ("stub_relations", "stub_profile") and chance.happens(weather.stub_fails):
            raise CacheUnavailable
        if weather.cache_full and operation in _DELIVERS and chance.happens(weather.cache_full):
            raise Refused

    async def after(self, operation: str, node: str) -> None:
        chance, weather = self._chance, self._chance.weather
        slow = chance.happens(weather.slow)
        most = 0.2 if slow else 0.001
        if operation == "read_authors" and chance.happens(weather.slow_gathers):
            slow, most = True, 2.5
        await self._pass(chance.delay(0.0001, most, slow), True, operation, node, ">")
        if chance.happens(weather.cache_silent):
            raise CacheUnavailable(outcome=Outcome.UNKNOWN)

    def rings(self) -> bool:
        return self._process.alive and self._chance.dice.random() < 0.8
