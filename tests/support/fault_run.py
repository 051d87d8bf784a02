"""Faults in a fixed order of chance while posts flow and readers scroll: nothing acked may be lost, doubled or wrong.

``python -m tests.support.fault_run --seconds 600 --seed 7`` starts three Cassandra nodes (RF 3), three Valkey primaries
with a replica each, two servers and two workers; breaks one thing after another, each after the one before has healed;
then looks at every home and every profile to the end.  It prints one JSON document and fails with what was wrong, if
anything was.  `docs/faults.md` says what each fault is.  The end-to-end tests run one round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rookery import Client, errors
from rookery_server.cli.sources import Source, made_up
from rookery_server.dev.installation import Installation
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from tests.support.fault_kinds import HEAL_S, PATIENT_S, Faults
from tests.support.measured import p50_p99_ms, spread
from tests.support.readers import Post, now_ms, scroll
from tests.support.real_run import load, sources_of
from tests.support.witness import Witness

SPEC = StackSpec(name="faults", nodes=3, replicas=True, durable=True)
SETTINGS = {
    "ROOKERY_QUOTAS__TWEETS_PER_3H": "1000000",
    "ROOKERY_QUOTAS__FOLLOWS_PER_DAY": "1000000",
    "ROOKERY_WORK__FOLLOWER_PAGE": "10",  # everybody follows the star: its posts go out in many pages
}
ACCOUNTS, FOLLOWS, STAR = 150, 8, 0
BEHIND_S = 10.0
"""`complete_through` further ago than this is behind; normally it is six to seven seconds ago."""
CALM_S = 2.0
POSTERS, POST_EVERY_S, READ_EVERY_S = 5, 0.5, 0.2
"""Ten posts a second, to a tenth or all of the accounts: twice as many, beside three Cassandra nodes on two processors,
are what a stall of the machine is hardly ever worked off."""
_UNCLEAR = (errors.Unavailable, errors.DeadlineExceeded, errors.Internal)


@dataclass(slots=True)
class Break:
    """One fault.  Times in seconds from its beginning."""

    name: str
    detail: str = ""
    began: float = 0.0
    healed_s: float = 0.0
    """When what was broken was put back."""
    worst_lag_s: float = 0.0
    """Infinite: for a moment nothing was claimed at all."""
    back_s: float = 0.0
    """When every server's pages claimed up to ten seconds ago again, for good; 0 = they never stopped."""

    def __str__(self) -> str:
        put_back, worst, back = (f"{seconds:.1f} s" for seconds in (self.healed_s, self.worst_lag_s, self.back_s))
        return f"{self.name} ({self.detail}): put back after {put_back}, worst claim {worst} ago, back after {back}"


@dataclass(slots=True)
class Lags:
    """How far back each server's newest page was complete, sampled."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    """(monotonic time, seconds); a call without an answer is no sample: it claims nothing."""
    last: dict[int, tuple[float, float]] = field(default_factory=dict)

    async def watch(self, number: int, client: Client) -> None:
        while True:
            try:
                page = await client.home_page(page_size=1, timeout_s=2.0)
            except errors.RookeryError:
                await asyncio.sleep(0.1)
                continue
            claimed_ms = page.info.complete_through.ToMilliseconds()
            lag = (now_ms() - claimed_ms) / 1000 if claimed_ms else math.inf
            self.last[number] = time.monotonic(), lag
            self.samples.append(self.last[number])
            await asyncio.sleep(0.25)

    def measure(self, fault: Break, until: float) -> None:
        of = [(at, lag) for at, lag in self.samples if fault.began <= at < until]
        fault.worst_lag_s = max((lag for _, lag in of), default=0.0)
        fault.back_s = max((at - fault.began for at, lag in of if lag > BEHIND_S), default=0.0)

    def told(self, seconds: float = 30.0) -> str:
        """Of the last seconds, for whoever has to find out what held the claims."""
        since = time.monotonic() - seconds
        late = [lag for at, lag in self.samples if at > since]
        some = [lag for lag in late if math.isfinite(lag)]
        behind = f"{min(some):.1f} to {max(some):.1f} s ago" if some else "never"
        return f"{len(late)} pages in {seconds:.0f} s, {len(late) - len(some)} claimed nothing, the others {behind}"

    def calm(self, servers: int) -> bool:
        now = time.monotonic()
        fresh = [lag for at, lag in self.last.values() if now - at < CALM_S]
        return len(fresh) == servers and all(lag <= BEHIND_S for lag in fresh)


class Traffic:
    """Posts, deletes and scrolls, written down in a witness; what ends unknown is repeated until it is known."""

    def __init__(self, witness: Witness, rng: random.Random, ids: list[int]):
        self._witness, self._rng, self._ids = witness, rng, ids
        self.unknown = self.unsettled = 0
        self.post_seconds: list[float] = []
        self.stop = asyncio.Event()
        self.under_way: list[asyncio.Task[Post]] = []

    async def _until_acked(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        while True:
            try:
                return await call()
            except _UNCLEAR:
                self.unknown += 1
                await asyncio.sleep(0.2)  # the back-off of a patient caller

    async def post(self, author: int) -> Post:
        request_id, began, started = str(uuid.uuid4()), now_ms(), time.monotonic()
        text, acting = f"post {request_id}", self._witness.client.acting_as(author)
        reply = await self._until_acked(lambda: acting.create_tweet(text, request_id=request_id, timeout_s=PATIENT_S))
        self.post_seconds.append(time.monotonic() - started)
        post = Post(reply.tweet.id, author, began, now_ms(), text)
        self._witness.posts.append(post)
        return post

    async def delete(self, post: Post) -> None:
        self._witness.deleted[post.id] = now_ms() + 86_400_000  # may be there or not, until a settled answer
        acting = self._witness.client.acting_as(post.author)
        reply = await self._until_acked(lambda: acting.delete_tweet(post.id, timeout_s=PATIENT_S))
        if reply.settled:
            self._witness.deleted[post.id] = now_ms()
        else:
            self.unsettled += 1

    async def burst(self) -> None:
        """The star posts a lot at once; returns with the first ack, when deliveries are under way."""
        posting = [asyncio.create_task(self.post(self._ids[STAR])) for _ in range(20)]
        await asyncio.wait(posting, return_when=asyncio.FIRST_COMPLETED)
        self.under_way += posting

    async def poster(self, every_s: float) -> None:
        while not self.stop.is_set():
            author = self._ids[STAR] if self._rng.random() < 0.05 else self._rng.choice(self._ids)
            post = await self.post(author)
            await asyncio.sleep(every_s * self._rng.uniform(0.5, 1.5))
            if self._rng.random() < 0.05:
                await self.delete(post)

    async def reader(self, lane: list[int]) -> None:
        while not self.stop.is_set():
            try:
                self._witness.scrolls.append(await scroll(self._witness.client, self._rng.choice(lane), 50))
            except _UNCLEAR:
                self._witness.refused += 1
            await asyncio.sleep(READ_EVERY_S)


@dataclass(slots=True)
class Outcome:
    breaks: list[Break]
    told: dict[str, Any]


def network(seed: int) -> Source:
    """Everybody follows the star."""
    source = made_up(ACCOUNTS, FOLLOWS, seed)
    edges = {*source.edges, *((other, STAR) for other in range(ACCOUNTS) if other != STAR)}
    return Source(f"{source.digest}star", source.accounts, tuple(sorted(edges)))


@asynccontextmanager
async def running(tasks: list[Coroutine[Any, Any, None]]) -> AsyncIterator[list[asyncio.Task[None]]]:
    started = [asyncio.create_task(task) for task in tasks]
    try:
        yield started
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def fault_run(
    stack: Stack, folder: Path, *, seconds: float, seed: int, say: Callable[[str], None], only: str = ""
) -> Outcome:
    """Rounds of all faults until `seconds` are over, at least one; `only`: of the faults with this in their name.
    Raises AssertionError for anything wrong."""
    installation, rng = Installation(stack, settings=SETTINGS), random.Random(seed)
    await asyncio.to_thread(installation.migrate)
    servers = [await asyncio.to_thread(installation.start_server, f"serve-{n}") for n in (1, 2)]
    both = "ipv4:" + ",".join(server.target for server in servers)
    async with (
        Client(both, connections=6) as client,
        Client(servers[0].target) as first,
        Client(servers[1].target) as second,
    ):
        source = network(seed)
        workers = [await asyncio.to_thread(installation.start_worker, f"work-{n}") for n in (1, 2)]
        ids, took = await load(client, source, folder / "journal.jsonl", 16)
        say(f"{len(source.accounts)} accounts and {len(source.edges)} follows loaded in {took:.1f} s")
        witness = Witness(client, "", page_size=50)
        witness.whom = {reader: set(authors) for reader, authors in sources_of(source, ids).items()}
        witness.readers = list(ids)
        traffic, lags = Traffic(witness, random.Random(f"traffic {seed}"), ids), Lags()
        names = itertools.count(len(workers) + 1)
        faults = Faults(
            stack,
            workers,
            lambda killed: installation.start_worker(f"work-{next(names)}"),
            rng,
            client,
            ids[STAR],
            traffic.burst,
        )
        watchers = [lags.watch(n, c.acting_as(ids[1 + n])) for n, c in enumerate((first, second))]
        moving = [traffic.poster(POST_EVERY_S) for _ in range(POSTERS)]
        moving += [traffic.reader(ids[lane::3]) for lane in range(3)]
        began = time.monotonic()
        async with running(watchers), running(moving) as tasks:
            breaks = await _break_all(faults, lags, rng, seconds, say, tasks, only)
            traffic.stop.set()
            await asyncio.gather(*tasks, *traffic.under_way)
        loaded_s = time.monotonic() - began
        say("judging")
        verdict = await witness.judge()
    return Outcome(breaks, _figures(breaks, witness, traffic, verdict, loaded_s, seed))


async def _break_all(
    faults: Faults,
    lags: Lags,
    rng: random.Random,
    seconds: float,
    say: Callable[[str], None],
    tasks: list[asyncio.Task[None]],
    only: str,
) -> list[Break]:
    breaks: list[Break] = []
    kinds = [name for name in faults.kinds if only in name]
    until = time.monotonic() + seconds
    await _calm(lags, tasks)
    while not breaks or time.monotonic() < until:
        for name in rng.sample(kinds, len(kinds)):
            fault = Break(name, began=time.monotonic())
            fault.detail = await faults.kinds[name]()
            fault.healed_s = time.monotonic() - fault.began
            await _calm(lags, tasks)
            lags.measure(fault, time.monotonic())
            breaks.append(fault)
            say(str(fault))
    return breaks


async def _calm(lags: Lags, tasks: list[asyncio.Task[None]]) -> None:
    """Until every server's pages claim up to ten seconds ago, for two seconds on end."""
    since, until = time.monotonic(), time.monotonic() + HEAL_S
    while time.monotonic() - since < CALM_S:
        for task in tasks:
            if task.done():
                task.result()
        assert time.monotonic() < until, f"the claims never came back: {lags.told()}"
        await asyncio.sleep(0.1)
        if not lags.calm(2):
            since = time.monotonic()


def _figures(
    breaks: list[Break], witness: Witness, traffic: Traffic, verdict: Any, loaded_s: float, seed: int
) -> dict[str, Any]:
    pages = [page.seconds for done in witness.scrolls for page in done.pages]
    by_kind = {
        name: {
            "times": len(of),
            "back_s": spread([fault.back_s for fault in of]),
            "worst_lag_s": spread([fault.worst_lag_s for fault in of]),
            "healed_s": spread([fault.healed_s for fault in of]),
        }
        for name in sorted({fault.name for fault in breaks})
        if (of := [fault for fault in breaks if fault.name == name])
    }
    return {
        "seed": seed,
        "seconds": round(loaded_s, 1),
        "faults": by_kind,
        "posts_acked": len(witness.posts),
        "deletes_acked": len(witness.deleted),
        "deletes_unsettled": traffic.unsettled,
        "repeats_after_unknown": traffic.unknown,
        "post_p50_p99_ms": p50_p99_ms(traffic.post_seconds),
        "scrolls": verdict.scrolls,
        "scrolls_refused": witness.refused,
        "pages": verdict.pages,
        "pages_degraded": verdict.degraded,
        "page_p50_p99_ms": p50_p99_ms(pages),
        "tweets_shown": verdict.tweets,
        "required_and_checked": verdict.required,
        "lost_doubled_or_wrong": len(verdict.wrong),
    }


async def main(options: argparse.Namespace) -> None:
    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    folder = Path(tempfile.mkdtemp(prefix="rookery-faults-"))
    stack = Stack(SPEC, folder=folder / "stack")
    try:
        await asyncio.to_thread(stack.up)
        outcome = await fault_run(stack, folder, seconds=options.seconds, seed=options.seed, say=say, only=options.only)
    except BaseException:
        say(f"failed with --seed {options.seed}; the logs are in {folder}")
        raise
    finally:
        await asyncio.to_thread(stack.down)
    shutil.rmtree(folder)
    print(json.dumps(outcome.told, indent=2))  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--only", default="", help="faults with this in their name: worker, primary, cassandra, …")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asyncio.run(main(parser.parse_args()))
