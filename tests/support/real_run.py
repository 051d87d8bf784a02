"""A whole run against a live installation: load a graph, post while readers scroll, judge every page.

``python -m tests.support.real_run --target HOST:PORT --graph FILE.tsv --posts 2000 --readers 200`` prints one JSON
document with the figures and ends with 1 if a single page was wrong.  The end-to-end tests use the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rookery import Client, Credentials, errors
from rookery_server.cli.journal import Journal
from rookery_server.cli.loading import load_network
from rookery_server.cli.sources import Source, from_file, made_up
from rookery_server.dev import sample
from rookery_server.services.bounded import each
from tests.support.measured import p50_p99_ms
from tests.support.readers import Oracle, Post, Scroll, Verdict, keep_scrolling, now_ms, scroll

LANES = 12
"""Readers who scroll at once."""


@dataclass(slots=True)
class Run:
    """What happened, as the clients saw it."""

    posts: list[Post] = field(default_factory=list)
    unknown: int = 0
    scrolls: list[Scroll] = field(default_factory=list)
    refused: int = 0
    post_seconds: list[float] = field(default_factory=list)
    posting_took: float = 0.0


async def post_all(client: Client, source: Source, ids: Sequence[int], run: Run, count: int, concurrency: int) -> None:
    """Posts by Zipf-chosen authors; a post that stays UNAVAILABLE is repeated with its request id until it is acked."""
    rng, authors = random.Random(7), sample.zipf_order(source.follower_counts(), 1.0, 7)
    plan = [(ids[next(authors)], sample.text(rng, number)) for number in range(count)]
    started = time.monotonic()
    await each(plan, concurrency, lambda due: post_until_acked(client, *due, run))
    run.posting_took = time.monotonic() - started


async def post_until_acked(client: Client, author: int, text: str, run: Run) -> None:
    request_id, began, started = str(uuid.uuid4()), now_ms(), time.monotonic()
    while True:
        try:
            reply = await client.acting_as(author).create_tweet(text, request_id=request_id, timeout_s=10.0)
        except (errors.Unavailable, errors.DeadlineExceeded, errors.Internal):
            run.unknown += 1
            await asyncio.sleep(0.2)  # the back-off of a patient caller, not a wait for a condition
            continue
        run.posts.append(Post(reply.tweet.id, author, began, now_ms(), text))
        run.post_seconds.append(time.monotonic() - started)
        return


def sources_of(source: Source, ids: Sequence[int]) -> dict[int, frozenset[int]]:
    """Reader → whose posts belong on the home."""
    whom: dict[int, set[int]] = {id_: {id_} for id_ in ids}
    for follower, followee in source.edges:
        whom[ids[follower]].add(ids[followee])
    return {reader: frozenset(authors) for reader, authors in whom.items()}


async def load(client: Client, source: Source, journal: Path, concurrency: int) -> tuple[list[int], float]:
    kept, started = Journal(journal), time.monotonic()
    try:
        await load_network(client, source, kept, concurrency, lambda: None)
        return [kept.users[account.key] for account in source.accounts], time.monotonic() - started
    finally:
        kept.close()


async def post_and_read(
    client: Client, reading: Client, source: Source, ids: Sequence[int], *, count: int, readers: int, page_size: int
) -> tuple[Run, dict[int, frozenset[int]]]:
    """Posts while `readers` accounts scroll all the while; afterwards, once all is claimed, each scrolls once more."""
    run, whom, stop = Run(), sources_of(source, ids), asyncio.Event()
    chosen = random.Random(11).sample(sorted(whom, key=lambda id_: -len(whom[id_]))[: readers * 3], readers)
    lanes = [chosen[lane::LANES] for lane in range(LANES)]
    scrolling = [
        asyncio.create_task(keep_scrolling(reading, lane, page_size, stop, run.scrolls)) for lane in lanes if lane
    ]
    await post_all(client, source, ids, run, count, 16)
    stop.set()
    run.refused = sum(await asyncio.gather(*scrolling))
    last_ms = max(post.acked_ms for post in run.posts)
    for reader in chosen:
        await await_claim(reading.acting_as(reader), last_ms)
        run.scrolls.append(await scroll(reading, reader, page_size))
    return run, whom


async def await_claim(client: Client, moment_ms: int, within_s: float = 120.0) -> float:
    """Waits until a home page claims `moment_ms`; returns the seconds it took."""
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        try:
            page = await client.home_page(page_size=1, timeout_s=10.0)
        except (errors.Unavailable, errors.DeadlineExceeded):
            continue
        if page.info.complete_through.ToMilliseconds() >= moment_ms:
            return time.monotonic() - started
        await asyncio.sleep(0.1)  # the poll of the condition waited for
    raise AssertionError(f"no page claimed {moment_ms} within {within_s} s")


def freshness(metrics_url: str) -> dict[str, float]:
    """Bucket bounds of the 50th and 99th percentile of ack-to-last-delivery, from a worker's metrics."""
    with urllib.request.urlopen(metrics_url, timeout=5) as reply:  # noqa: S310  (a local address given by the caller)
        lines = reply.read().decode().splitlines()
    buckets: dict[float, float] = {}
    for line in lines:
        if line.startswith("rookery_fanout_completion_seconds_bucket"):
            bound = line.split('le="')[1].split('"')[0]
            buckets[float(bound)] = buckets.get(float(bound), 0.0) + float(line.rsplit(" ", 1)[1])
    total = max(buckets.values(), default=0.0)
    return {
        name: min((bound for bound, seen in buckets.items() if seen >= share * total), default=float("nan"))
        for name, share in (("p50_at_most_s", 0.5), ("p99_at_most_s", 0.99))
    }


def figures(run: Run, verdict: Verdict, source: Source, load_s: float) -> dict[str, object]:
    pages = [page.seconds for done in run.scrolls for page in done.pages]
    return {
        "accounts": len(source.accounts),
        "follows": len(source.edges),
        "load_seconds": round(load_s, 1),
        "posts": len(run.posts),
        "posts_per_second": round(len(run.posts) / run.posting_took, 1),
        "post_p50_p99_ms": p50_p99_ms(run.post_seconds),
        "repeats_after_unknown": run.unknown,
        "scrolls": verdict.scrolls,
        "pages": verdict.pages,
        "page_p50_p99_ms": p50_p99_ms(pages),
        "tweets_shown": verdict.tweets,
        "required_and_checked": verdict.required,
        "pages_degraded": verdict.degraded,
        "scrolls_refused": run.refused,
        "wrong": len(verdict.wrong),
        "first_wrong": verdict.wrong[:5],
    }


async def main(options: argparse.Namespace) -> int:
    source = from_file(Path(options.graph)) if options.graph else made_up(120, 15, 1)
    credentials = Credentials(token=options.token)
    async with (
        Client(options.target, credentials, connections=4) as client,
        Client(options.target, credentials, connections=2) as reading,
    ):
        ids, took = await load(client, source, Path(options.journal), options.concurrency)
        print(f"loaded in {took:.1f} s", file=sys.stderr, flush=True)  # noqa: T201
        run, whom = await post_and_read(
            client, reading, source, ids, count=options.posts, readers=options.readers, page_size=100
        )
    verdict = Oracle(whom, run.posts, {}).judge(run.scrolls)
    told = figures(run, verdict, source, took)
    if options.worker_metrics:
        told["freshness"] = freshness(options.worker_metrics)
    print(json.dumps(told, indent=2))  # noqa: T201
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="127.0.0.1:7070")
    parser.add_argument("--token", default=None)
    parser.add_argument("--graph", default="")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=48)
    parser.add_argument("--worker-metrics", default="")
    sys.exit(asyncio.run(main(parser.parse_args())))
