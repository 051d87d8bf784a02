"""Figures that a fast test cannot hold: cold home pages by number of followees, and small authors beside a large one.

``python -m tests.support.figures_run cold`` and ``… fairness`` start one Cassandra node, three Valkey primaries, a
server and a worker, seed through the store contract, measure in interleaved rounds and print one JSON document.
Cassandra has a JVM as in production: with the dev stack's small one reads cost a multiple.  Every figure is
given as minimum, median and maximum over the rounds; of the machine it says how long a fixed loop took and, where that
decides, how much of its processors the host gave to others: above some percent p99 measures that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster

from rookery import Client
from rookery_server.cache import keys
from rookery_server.dev.installation import Installation, Service
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from rookery_server.domain.clock import SystemClock
from rookery_server.metrics import Metrics
from rookery_server.services.bounded import each
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.store import CassandraStore
from tests.support.measured import p99, spread
from tests.support.readers import now_ms
from tests.support.real_run import await_claim
from tests.support.seeding import AT_ONCE, Seeding

SETTINGS = {"ROOKERY_QUOTAS__TWEETS_PER_3H": "1000000", "ROOKERY_QUOTAS__FOLLOWS_PER_DAY": "1000000"}
FOLLOWEES = (50, 500, 2_000, 5_000)
POSTS_EACH = 4
TEXT = "a tweet of the past, long enough to look like one " * 3
LARGE = 100_000
SMALL_AUTHORS, SMALL_FOLLOWERS, SMALL_PER_S = 20, 10, 20.0
LARGE_LOOK_S = 0.05
"""A fan-out of seconds needs no closer look, and what looks takes from the small ones what would then count as its."""
ROUND_S = 15.0
WARM_UP = 4
"""Rounds that do not count: until then Java compiles."""
CALL_S = 20.0
ARRIVES_WITHIN_S = 60.0


@dataclass(slots=True)
class Ground:
    stack: Stack
    server: Service
    worker: Service
    client: Client
    store: CassandraStore
    cache: RedisCluster


@asynccontextmanager
async def ground(folder: Path, settings: dict[str, str]) -> AsyncIterator[Ground]:
    stack = Stack(StackSpec(name="figures", durable=True, full_jvm=True), folder=folder / "stack")
    await asyncio.to_thread(stack.up)
    try:
        installation = Installation(stack, settings={**SETTINGS, **settings})
        await asyncio.to_thread(installation.migrate)
        server = await asyncio.to_thread(installation.start_server, "serve-1")
        worker = await asyncio.to_thread(installation.start_worker, "work-1")
        told = CassandraSettings(stack.cassandra_contact_points, stack.cassandra_port, "rookery", write_s=10.0)
        store = await CassandraStore.open(told, Metrics(), SystemClock())
        nodes = [ClusterNode(host, port) for host, port in stack.valkey_nodes]
        # A stall of the machine leaves hundreds of look-ups under way.
        looking = RedisCluster(startup_nodes=nodes, max_connections=1_000)
        async with Client(server.target, connections=2) as client, looking as cache:
            yield Ground(stack, server, worker, client, store, cache)
        await store.close()
    finally:
        await asyncio.to_thread(stack.down)


def yardstick_ms() -> float:
    """A fixed loop: how fast this machine is now."""
    started, x = time.perf_counter(), 1
    for i in range(50_000):
        x = (x * 31 + i) & 0xFFFFFFFF
    return (time.perf_counter() - started) * 1000


def stolen() -> tuple[int, int]:
    """Processor time that went to other guests of the host, and all there was, in ticks (man 5 proc_stat)."""
    spent = [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return spent[7], sum(spent)


def cpu_ms(pid: int) -> float:
    """On-CPU time of all threads (man 5 proc, schedstat: first field, nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


# --- cold homes -----------------------------------------------------------------------------------------------------


async def cold(on: Ground, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """First page of a home that is not cached, by followees, with the author lists cached and not cached."""
    authors = [await _account(on, f"a{number}") for number in range(max(FOLLOWEES))]
    say(f"{len(authors)} authors")
    seeding, rng, now = Seeding(on.store), random.Random(1), now_ms()

    async def post(author: int) -> None:
        for _ in range(POSTS_EACH):
            await seeding.post(author, now - rng.randrange(60_000, 20 * 86_400_000), TEXT)

    await each(authors, AT_ONCE, post)
    readers: dict[int, int] = {}
    for followees in FOLLOWEES:
        readers[followees] = reader = await _account(on, f"r{followees}")
        await each(authors[:followees], AT_ONCE, partial(seeding.follow, reader))
    say("seeded; waiting for the worker")
    await await_claim(on.client.acting_as(readers[FOLLOWEES[0]]), now_ms(), within_s=600)
    kinds = [(followees, warm) for followees in FOLLOWEES for warm in (True, False)]
    took: dict[tuple[int, bool], list[dict[str, float]]] = {kind: [] for kind in kinds}
    pids = {"server": on.server.node.pid, "cassandra": on.stack.cassandra[0].pid}
    loops = []
    for number in range(-WARM_UP, rounds):
        loops.append(yardstick_ms())
        for kind in rng.sample(kinds, len(kinds)):
            followees, warm = kind
            await _forget(on, readers[followees], () if warm else authors[:followees])
            before = {name: cpu_ms(pid) for name, pid in pids.items()}
            started = time.perf_counter()
            page = await on.client.acting_as(readers[followees]).home_page(page_size=20, timeout_s=CALL_S)
            figures = {"ms": (time.perf_counter() - started) * 1000}
            assert len(page.tweets) == 20, page.info
            figures |= {f"{name}_cpu_ms": cpu_ms(pid) - before[name] for name, pid in pids.items()}
            if number >= 0:
                took[kind].append(figures)
    return {
        "fixed_loop_ms": spread(loops),
        **{
            f"{followees} followees, author lists {'cached' if warm else 'not cached'}": {
                name: spread([figures[name] for figures in of]) for name in of[0]
            }
            for (followees, warm), of in took.items()
        },
    }


async def _account(on: Ground, name: str) -> int:
    return (await on.client.create_user(name, timeout_s=CALL_S)).user.id


async def _forget(on: Ground, reader: int, authors: Collection[int]) -> None:
    await on.cache.delete(keys.home(reader), keys.home_meta(reader), keys.relations(reader))
    await each(authors, AT_ONCE, lambda author: on.cache.delete(keys.author(author)))


# --- small authors beside a large one --------------------------------------------------------------------------------


async def fairness(on: Ground, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Ack to arrival in a follower's list for small authors, calm and while an author with 100,000 followers posts."""
    large = await _account(on, "large")
    small = [await _account(on, f"s{number}") for number in range(SMALL_AUTHORS)]
    fans = [await _account(on, f"f{number}") for number in range(SMALL_FOLLOWERS)]
    for fan in fans:
        for author in small:
            await on.client.acting_as(fan).follow(author, timeout_s=CALL_S)
    # Where a node did not answer in time when a follow was acked, its event takes the list away once more.
    await await_claim(on.client.acting_as(fans[0]), now_ms(), within_s=ARRIVES_WITHIN_S)
    for fan in fans:
        await _has_list(on, fan)
    crowd = range(1 << 40, (1 << 40) + LARGE)
    await Seeding(on.store).crowd(large, crowd)
    say("seeded")
    for first in range(0, LARGE, 1000):
        lists = on.cache.pipeline()
        for follower in crowd[first : first + 1000]:
            lists.rpush(keys.home(follower), 1, 0)
        await lists.execute()
    say("the crowd has home lists")
    ratios, calm_p99, busy_p99, fanouts, loops, stolen_percent = [], [], [], [], [], []
    for number in range(-WARM_UP, rounds):
        loops.append(yardstick_ms())
        before = stolen()
        calm = await _small_posts(on, small, fans[0])
        stop, times = asyncio.Event(), list[float]()
        storm = asyncio.create_task(_large_posts(on, large, crowd[-1], stop, times))
        busy = await _small_posts(on, small, fans[0])
        stop.set()
        await storm
        if number < 0:
            continue
        calm_p99.append(p99(calm))
        busy_p99.append(p99(busy))
        fanouts += times
        ratios.append(busy_p99[-1] / calm_p99[-1])
        taken, spent = (after - ago for after, ago in zip(stolen(), before, strict=True))
        stolen_percent.append(100 * taken / max(1, spent))
        figures = f"{calm_p99[-1] * 1000:.0f} ms calm, {busy_p99[-1] * 1000:.0f} ms beside"
        say(f"round {number + 1}: {figures}, {stolen_percent[-1]:.0f} % of the processors taken by others")
    return {
        "fixed_loop_ms": spread(loops),
        "stolen_percent": spread(stolen_percent),
        "p99_calm_ms": spread([seconds * 1000 for seconds in calm_p99]),
        "p99_beside_ms": spread([seconds * 1000 for seconds in busy_p99]),
        "p99_ratio": spread(ratios, 2),
        "large_fanout_s": spread(fanouts, 2),
        "large_fanouts": len(fanouts),
    }


async def _small_posts(on: Ground, authors: Sequence[int], fan: int) -> list[float]:
    """Seconds from each ack to the arrival in the fan's list."""
    arrived: list[float] = []
    waiting: set[asyncio.Task[None]] = set()
    until, number = time.monotonic() + ROUND_S, 0

    async def one(author: int) -> None:
        reply = await on.client.acting_as(author).create_tweet("a small one", timeout_s=CALL_S)
        acked = time.monotonic()
        await _arrives(on, fan, reply.tweet.id)
        arrived.append(time.monotonic() - acked)

    while time.monotonic() < until:
        waiting.add(asyncio.create_task(one(authors[number % len(authors)])))
        number += 1
        await asyncio.sleep(1 / SMALL_PER_S)  # the pace of the load
    await asyncio.gather(*waiting)
    return arrived


async def _arrives(on: Ground, follower: int, tweet_id: int, look_s: float = 0.003) -> None:
    try:
        async with asyncio.timeout(ARRIVES_WITHIN_S):
            while await on.cache.lpos(keys.home(follower), str(tweet_id)) is None:  # noqa: ASYNC110
                await asyncio.sleep(look_s)  # only asking again can tell
    except TimeoutError:
        top = await on.cache.lrange(keys.home(follower), 0, 5)
        raise AssertionError(f"{tweet_id} is not in the list of {follower}, which begins {top}") from None


async def _has_list(on: Ground, reader: int) -> None:
    """A build that was slow, or met a node not known yet, as the first ones are, is served and not stored: nothing
    would ever arrive.  Once, before the rounds: a list that goes away in their course has to be seen."""
    async with asyncio.timeout(ARRIVES_WITHIN_S):
        # Until it is stored its last entry is the build's token, a dash first.
        while not isinstance(last := await on.cache.lindex(keys.home(reader), -1), bytes) or last.startswith(b"-"):
            await on.client.acting_as(reader).home_page(timeout_s=CALL_S)


async def _large_posts(on: Ground, large: int, last: int, stop: asyncio.Event, times: list[float]) -> None:
    while not stop.is_set():
        reply = await on.client.acting_as(large).create_tweet("a large one", timeout_s=CALL_S)
        acked = time.monotonic()
        await _arrives(on, last, reply.tweet.id, LARGE_LOOK_S)
        times.append(time.monotonic() - acked)


async def main(options: argparse.Namespace) -> None:
    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    folder = Path(tempfile.mkdtemp(prefix="rookery-figures-"))
    measure = {"cold": cold, "fairness": fairness}[options.what]
    try:
        async with ground(folder, {}) as on:
            told = await measure(on, options.rounds, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"what": options.what, "rounds": options.rounds, "cores": os.cpu_count(), **told}, indent=2))  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cold", "fairness"))
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args()))
