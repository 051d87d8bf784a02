"""A network in motion: posts, quotes, deletes, follows, unfollows, blocks, mutes and tier crossings, all at once.

``python -m tests.support.change_run --target HOST:PORT --graph FILE.tsv --journal FILE`` loads the graph (or goes on
where a journal says it was loaded), lets everything happen while readers scroll, waits until all of it is claimed, and
then scrolls the homes of sampled readers to the end: each must be exactly what follows from the calls that were
answered.  Prints one JSON document; ends with 1 if anything was lost, doubled or forbidden.

What is expected is worked out here from the clients' side alone and shares no code with the server.  The end-to-end
tests run a small one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rookery import Client, Credentials, errors
from rookery.v1 import admin_pb2
from rookery_server.cli.sources import Source, from_file, made_up
from rookery_server.dev import sample
from rookery_server.services.bounded import each
from tests.support.measured import p50_p99_ms
from tests.support.readers import Oracle, Post, Scroll, keep_scrolling, now_ms, scroll
from tests.support.real_run import await_claim, freshness, load, sources_of

CALL_S = 10.0
POSTERS, CHANGERS, READING_LANES, FINAL_LANES = 12, 6, 6, 12
QUOTES, DELETES = 0.08, 0.04
Answer = TypeVar("Answer")
Pair = tuple[int, int]


@dataclass(slots=True)
class Gone:
    """From `since_ms` (a settled answer) to `until_ms` (the next call that may bring it back began)."""

    since_ms: int
    until_ms: int = 1 << 62

    def covers(self, moment_ms: int) -> bool:
        return self.since_ms < moment_ms < self.until_ms


@dataclass(slots=True)
class Ledger:
    """Everything that was answered."""

    following: dict[int, set[int]]
    posts: dict[int, Post] = field(default_factory=dict)
    quotes: dict[int, int] = field(default_factory=dict)
    """Tweet → the author of what it quotes."""
    deleted: dict[int, int] = field(default_factory=dict)
    """Tweet → when its settled delete was answered; far ahead while it was not."""
    blocks: set[Pair] = field(default_factory=set)
    mutes: set[Pair] = field(default_factory=set)
    touched: set[Pair] = field(default_factory=set)
    """Reader and author between whom something changed."""
    gone: dict[Pair, list[Gone]] = field(default_factory=dict)
    """Reader and author → when nothing of the author's might show."""
    calls: Counter[str] = field(default_factory=Counter)
    unsettled: int = 0
    repeats: int = 0
    post_seconds: list[float] = field(default_factory=list)

    def blocked(self, one: int, other: int) -> bool:
        return (one, other) in self.blocks or (other, one) in self.blocks

    def home_of(self, reader: int) -> list[int]:
        """The ids that belong there now, newest first."""
        authors = self.following[reader] | {reader}
        shown = [
            post.id
            for post in self.posts.values()
            if post.author in authors and post.id not in self.deleted and not self._hidden(reader, post)
        ]
        return sorted(shown, reverse=True)

    def _hidden(self, reader: int, post: Post) -> bool:
        """Own posts are always shown, whomever they quote."""
        if post.author == reader:
            return self._barred(reader, self.quotes.get(post.id, reader))
        return any(
            self._barred(reader, speaker) or (reader, speaker) in self.mutes
            for speaker in (post.author, self.quotes.get(post.id, post.author))
        )

    def _barred(self, reader: int, speaker: int) -> bool:
        return speaker != reader and self.blocked(reader, speaker)

    def hide(self, reader: int, author: int) -> None:
        self.gone.setdefault((reader, author), []).append(Gone(now_ms()))

    def reappear(self, reader: int, author: int) -> None:
        for gone in self.gone.get((reader, author), [])[-1:]:
            gone.until_ms = min(gone.until_ms, now_ms())


class Motion:
    """Calls of all kinds, each repeated until it is answered, and written into the ledger."""

    def __init__(self, client: Client, ledger: Ledger, ids: Sequence[int], seed: int):
        self._client, self.ledger, self._ids = client, ledger, ids
        self._rng = random.Random(seed)
        self._locks: dict[Pair, asyncio.Lock] = {}

    def _lock(self, one: int, other: int) -> asyncio.Lock:
        """What changes between two accounts is done one after the other, so that its outcome is known."""
        return self._locks.setdefault((min(one, other), max(one, other)), asyncio.Lock())

    async def _answered(self, kind: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        while True:
            try:
                answer = await call()
            except (errors.Unavailable, errors.DeadlineExceeded, errors.Internal):
                self.ledger.repeats += 1
                await asyncio.sleep(0.2)  # the back-off of a patient caller
                continue
            self.ledger.calls[kind] += 1
            return answer

    async def post(self, author: int, text: str) -> None:
        quoted = self._quotable(author) if self._rng.random() < QUOTES else None
        request_id, began, started = str(uuid.uuid4()), now_ms(), time.monotonic()
        acting = self._client.acting_as(author)
        try:
            reply = await self._answered(
                "posts",
                lambda: acting.create_tweet(
                    text, quoted_id=quoted.id if quoted else 0, request_id=request_id, timeout_s=CALL_S
                ),
            )
        except errors.NotFound:  # what it quotes was deleted, or the two fell out, meanwhile
            self.ledger.calls["quotes refused"] += 1
            return
        self.ledger.post_seconds.append(time.monotonic() - started)
        post = Post(reply.tweet.id, author, began, now_ms(), text)
        self.ledger.posts[post.id] = post
        if quoted is not None:
            self.ledger.quotes[post.id] = quoted.author
        if self._rng.random() < DELETES:
            await self._delete(post)

    def _quotable(self, author: int) -> Post | None:
        posts = self.ledger.posts
        if not posts:
            return None
        post = posts[self._rng.choice(list(posts)[-200:])]
        usable = post.id not in self.ledger.deleted and not self.ledger.blocked(author, post.author)
        return post if usable and post.author != author else None

    async def _delete(self, post: Post) -> None:
        self.ledger.deleted[post.id] = 1 << 62
        acting = self._client.acting_as(post.author)
        reply = await self._answered("deletes", lambda: acting.delete_tweet(post.id, timeout_s=CALL_S))
        if reply.settled:
            self.ledger.deleted[post.id] = now_ms()
        else:
            self.ledger.unsettled += 1

    async def follow(self, reader: int, author: int) -> None:
        async with self._lock(reader, author):
            if reader == author or self.ledger.blocked(reader, author):
                return
            self.ledger.touched.add((reader, author))
            self.ledger.reappear(reader, author)
            acting = self._client.acting_as(reader)
            await self._answered("follows", lambda: acting.follow(author, timeout_s=CALL_S))
            self.ledger.following[reader].add(author)

    async def unfollow(self, reader: int, author: int) -> None:
        async with self._lock(reader, author):
            self.ledger.touched.add((reader, author))
            acting = self._client.acting_as(reader)
            reply = await self._answered("unfollows", lambda: acting.unfollow(author, timeout_s=CALL_S))
            self.ledger.following[reader].discard(author)
            self._settled(reply.settled, (reader, author))

    async def block(self, one: int, other: int) -> None:
        async with self._lock(one, other):
            if one == other:
                return
            self.ledger.touched |= {(one, other), (other, one)}
            self.ledger.blocks.add((one, other))
            reply = await self._answered("blocks", lambda: self._client.acting_as(one).block(other, timeout_s=CALL_S))
            self.ledger.following[one].discard(other)
            self.ledger.following[other].discard(one)
            self._settled(reply.settled, (one, other), (other, one))

    async def unblock(self, one: int, other: int) -> None:
        async with self._lock(one, other):
            if (one, other) not in self.ledger.blocks:
                return
            self.ledger.reappear(one, other)
            self.ledger.reappear(other, one)
            await self._answered("unblocks", lambda: self._client.acting_as(one).unblock(other, timeout_s=CALL_S))
            self.ledger.blocks.discard((one, other))

    async def mute(self, reader: int, author: int) -> None:
        async with self._lock(reader, author):
            self.ledger.touched.add((reader, author))
            await self._answered("mutes", lambda: self._client.acting_as(reader).mute(author, timeout_s=CALL_S))
            self.ledger.mutes.add((reader, author))

    async def unmute(self, reader: int, author: int) -> None:
        async with self._lock(reader, author):
            await self._answered("unmutes", lambda: self._client.acting_as(reader).unmute(author, timeout_s=CALL_S))
            self.ledger.mutes.discard((reader, author))

    def _settled(self, settled: bool, *pairs: Pair) -> None:
        for reader, author in pairs:
            if settled:
                self.ledger.hide(reader, author)
            else:
                self.ledger.unsettled += 1

    async def something(self) -> None:
        """One change of chance, mostly between accounts that have to do with each other."""
        rng = self._rng
        reader = rng.choice(self._ids)
        followed = sorted(self.ledger.following[reader])
        near = rng.choice(followed) if followed else rng.choice(self._ids)
        if near == reader:
            return
        match rng.choices(("follow", "unfollow", "block", "mute", "lift"), (35, 25, 12, 10, 18))[0]:
            case "follow":
                await self.follow(reader, rng.choice(self._ids))
            case "unfollow":
                await self.unfollow(reader, near)
            case "block":
                await self.block(*rng.choice(((reader, near), (near, reader))))
            case "mute":
                await self.mute(reader, near)
            case _ if self.ledger.mutes and rng.random() < 0.5:
                await self.unmute(*rng.choice(sorted(self.ledger.mutes)))
            case _ if self.ledger.blocks:
                await self.unblock(*rng.choice(sorted(self.ledger.blocks)))


@dataclass(frozen=True, slots=True)
class Crossings:
    """Authors that are to cross the border between delivered and merged, with those who make them."""

    rising: int
    joining: tuple[int, ...]
    falling: int
    leaving: tuple[int, ...]


def choose_crossings(ledger: Ledger, ids: Sequence[int], pull_from: int, rng: random.Random) -> Crossings:
    """The largest author below the border gets above it, the smallest above it falls below the hysteresis."""
    followers: dict[int, list[int]] = {}
    for reader, authors in ledger.following.items():
        for author in authors - {reader}:
            followers.setdefault(author, []).append(reader)
    below = [author for author, readers in followers.items() if len(readers) < pull_from]
    above = [author for author, readers in followers.items() if len(readers) >= pull_from]
    rising = max(below, key=lambda author: len(followers[author]))
    falling = min(above, key=lambda author: len(followers[author]))
    strangers = [id_ for id_ in ids if id_ != rising and rising not in ledger.following[id_]]
    missing = pull_from + pull_from // 20 - len(followers[rising])
    surplus = len(followers[falling]) - int(pull_from * 0.75)
    return Crossings(
        rising, tuple(rng.sample(strangers, missing)), falling, tuple(rng.sample(sorted(followers[falling]), surplus))
    )


async def cross(motion: Motion, crossings: Crossings) -> None:
    """Both at once, a few calls at a time."""
    calls = [partial(motion.follow, reader, crossings.rising) for reader in crossings.joining]
    calls += [partial(motion.unfollow, reader, crossings.falling) for reader in crossings.leaving]
    await each(calls, 4, lambda call: call())


def judge_meanwhile(scrolls: Iterable[Scroll], ledger: Ledger, at_first: dict[int, frozenset[int]]) -> list[str]:
    """What pages read during the changes may be held to: order, doubles, nothing settled away, and completeness for
    everybody nothing happened to."""
    wrong: list[str] = []
    scrolls = list(scrolls)
    for done in scrolls:
        seen: set[int] = set()
        for page in done.pages:
            if list(page.ids) != sorted(set(page.ids), reverse=True) or seen & set(page.ids):
                wrong.append(f"reader {done.reader}: out of order or doubled")
            seen.update(page.ids)
            if page.stale:
                continue
            for id_, author in zip(page.ids, page.authors, strict=True):
                for speaker in {author, ledger.quotes.get(id_, author)} - {done.reader}:
                    gone = ledger.gone.get((done.reader, speaker), [])
                    forbidden = speaker == author or ledger.blocked(done.reader, speaker)
                    if forbidden and any(span.covers(page.began_ms) for span in gone):
                        wrong.append(f"reader {done.reader}: {id_} of {speaker}, settled away before the call")
    stable = {
        reader: frozenset(author for author in authors if (reader, author) not in ledger.touched)
        for reader, authors in at_first.items()
    }
    posts = [post for post in ledger.posts.values() if post.id not in ledger.quotes]
    plain = {post.id for post in posts}
    verdict = Oracle(stable, posts, ledger.deleted).judge(_only(done, stable[done.reader], plain) for done in scrolls)
    return wrong + verdict.wrong


def _only(done: Scroll, authors: frozenset[int], plain: set[int]) -> Scroll:
    pages = []
    for page in done.pages:
        kept = [at for at, author in enumerate(page.authors) if author in authors and page.ids[at] in plain]
        pages.append(
            replace(
                page,
                ids=tuple(page.ids[at] for at in kept),
                authors=tuple(page.authors[at] for at in kept),
                texts=tuple(page.texts[at] for at in kept),
            )
        )
    return Scroll(done.reader, pages)


async def judge_finally(client: Client, ledger: Ledger, readers: Sequence[int]) -> tuple[Counter[str], list[str]]:
    """Scrolls every reader to the end and compares: lost, doubled, forbidden."""
    tally, examples = Counter[str](), list[str]()

    async def one(reader: int) -> None:
        done = await scroll(client, reader, 100)
        shown = [id_ for page in done.pages for id_ in page.ids]
        expected = ledger.home_of(reader)
        tally["shown"] += len(shown)
        tally["doubled"] += len(shown) - len(set(shown))
        for name, ids in (("lost", set(expected) - set(shown)), ("forbidden", set(shown) - set(expected))):
            tally[name] += len(ids)
            examples.extend(f"{name}: {id_} for {reader}" for id_ in sorted(ids)[:2])
        if shown != expected and not set(shown) ^ set(expected) and len(shown) == len(expected):
            tally["out of order"] += 1
            examples.append(f"out of order: {reader}")

    await each(readers, FINAL_LANES, one)
    return tally, examples


@dataclass(frozen=True, slots=True)
class Plan:
    posts: int
    readers: int
    pull_from: int
    seed: int


async def change_run(
    client: Client,
    reading: Client,
    source: Source,
    ids: Sequence[int],
    plan: Plan,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The whole of it; the figures, with everything wrong under `wrong`."""
    rng = random.Random(plan.seed)
    at_first = sources_of(source, ids)
    ledger = Ledger({reader: set(authors) - {reader} for reader, authors in at_first.items()})
    motion = Motion(client, ledger, ids, plan.seed)
    crossings = choose_crossings(ledger, ids, plan.pull_from, rng)
    sampled = rng.sample(sorted(ids), min(plan.readers, len(ids)))
    scrolls: list[Scroll] = []
    stop = asyncio.Event()
    scrolling = [
        asyncio.create_task(keep_scrolling(reading, sampled[:120][lane::READING_LANES], 100, stop, scrolls))
        for lane in range(READING_LANES)
    ]
    took = await _move(motion, crossings, source, ids, plan, stop)
    say(f"{len(ledger.posts)} posts in {took:.0f} s; {dict(ledger.calls)}")
    refused = sum(await asyncio.gather(*scrolling))
    await await_claim(reading.acting_as(sampled[0]), now_ms())
    tally, wrong = await judge_finally(reading, ledger, sampled)
    say(f"judged {len(sampled)} homes: {dict(tally)}")
    wrong += judge_meanwhile(scrolls, ledger, at_first)
    return {
        "calls": dict(ledger.calls),
        "posts_per_second": round(len(ledger.posts) / took, 1),
        "post_p50_p99_ms": p50_p99_ms(ledger.post_seconds),
        "repeats_after_unknown": ledger.repeats,
        "unsettled": ledger.unsettled,
        "tiers": await tiers_of(client, (crossings.rising, crossings.falling)),
        "scrolls_meanwhile": len(scrolls),
        "pages_meanwhile": sum(len(done.pages) for done in scrolls),
        "scrolls_refused": refused,
        "homes_judged": len(sampled),
        "tweets_judged": tally["shown"],
        **{name: tally[name] for name in ("lost", "doubled", "forbidden")},
        "wrong": wrong[:20],
        "wrong_count": len(wrong),
    }


async def _move(
    motion: Motion, crossings: Crossings, source: Source, ids: Sequence[int], plan: Plan, stop: asyncio.Event
) -> float:
    """Everything at once, until all is posted and both authors have crossed; returns how many seconds posting took."""
    rng, chosen = random.Random(plan.seed), sample.zipf_order(source.follower_counts(), 1.0, plan.seed)

    async def post(number: int) -> None:
        crossing = (crossings.rising, crossings.falling)[number // 10 % 2]
        await motion.post(ids[next(chosen)] if number % 10 else crossing, sample.text(rng, number))

    async def changer() -> None:
        while not stop.is_set():
            await motion.something()

    started = time.monotonic()
    changing = [asyncio.create_task(changer()) for _ in range(CHANGERS)]
    crossed = asyncio.create_task(cross(motion, crossings))
    await each(range(plan.posts), POSTERS, post)
    took = time.monotonic() - started
    await crossed
    stop.set()
    await asyncio.gather(*changing)
    return took


async def tiers_of(client: Client, authors: Sequence[int]) -> dict[str, str]:
    """As the admin tools show them."""
    listed = (await client.list_author_tiers(authors)).tiers
    return {str(row.author_id): admin_pb2.DeliveryTier.Name(row.tier) for row in listed}


async def main(options: argparse.Namespace) -> int:
    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    source = from_file(Path(options.graph)) if options.graph else made_up(400, 15, 1)
    credentials = Credentials(token=options.token)
    async with (
        Client(options.target, credentials, connections=4) as client,
        Client(options.target, credentials, connections=2) as reading,
    ):
        ids, took = await load(client, source, Path(options.journal), 48)
        say(f"loaded in {took:.1f} s")
        plan = Plan(options.posts, options.readers, options.pull_from, options.seed)
        told = await change_run(client, reading, source, ids, plan, say)
    if options.worker_metrics:
        told["freshness"] = freshness(options.worker_metrics)
    print(json.dumps(told, indent=2))  # noqa: T201
    return 1 if told["wrong_count"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="127.0.0.1:7070")
    parser.add_argument("--token", default=None)
    parser.add_argument("--graph", default="")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--posts", type=int, default=5000)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--pull-from", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker-metrics", default="")
    sys.exit(asyncio.run(main(parser.parse_args())))
