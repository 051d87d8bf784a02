"""Loading a network and its posts through the public API: concurrent, resumable, idempotent."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from rookery import Client, errors
from rookery_server.cli.journal import Journal
from rookery_server.cli.sources import Source
from rookery_server.dev import sample

Item = TypeVar("Item")
Tick = Callable[[], None]

PATIENCE_S = 60.0
"""How long one item is tried again while the servers cannot answer; longer than any failover."""
CALL_S = 10.0
"""Bulk work prefers a slow answer to a repeat."""
_TRANSIENT = (errors.Unavailable, errors.DeadlineExceeded, errors.Internal)
_NAMESPACE = uuid.UUID("6d0a7d3c-6f0b-4b1e-9d5e-2f6a3c8e4b11")


async def pump(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Runs `work` for every item, `concurrency` at a time; the first failure ends it."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await _patiently(work, item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except BaseExceptionGroup as group_of_errors:
        raise group_of_errors.exceptions[0] from None  # the others are the same fault seen by other workers


async def _patiently(work: Callable[[Item], Awaitable[None]], item: Item) -> None:
    until, wait = time.monotonic() + PATIENCE_S, 0.1
    while True:
        try:
            return await work(item)
        except _TRANSIENT:
            if time.monotonic() + wait > until:
                raise
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(wait * 2, 5.0)


async def load_network(client: Client, source: Source, journal: Journal, concurrency: int, tick: Tick) -> None:
    """Accounts first, then follows; `tick` is called once for each of both.  Continues where the journal ends."""

    if journal.users and not await _still_there(client, next(iter(journal.users.values()))):
        journal.forget()

    async def account(person: sample.Account) -> None:
        journal.user(person.key, await _account_id(client, source, person))
        tick()

    missing = [person for person in source.accounts if person.key not in journal.users]
    for _ in range(len(source.accounts) - len(missing) + journal.edges_done):
        tick()
    await pump(missing, account, concurrency)
    ids = [journal.users[person.key] for person in source.accounts]

    async def edge(numbered: tuple[int, tuple[int, int]]) -> None:
        number, (follower, followee) = numbered
        await client.acting_as(ids[follower]).follow(ids[followee], timeout_s=CALL_S)
        journal.edge(number)
        tick()

    start = journal.edges_done
    await pump(zip(itertools.count(start), source.edges[start:], strict=False), edge, concurrency)


async def _still_there(client: Client, user_id: int) -> bool:
    """Whether the journal speaks of this installation, and not of one that stood here before."""
    try:
        await client.get_user(user_id, timeout_s=CALL_S)
    except errors.NotFound:
        return False
    return True


async def _account_id(client: Client, source: Source, person: sample.Account) -> int:
    request_id = str(uuid.uuid5(_NAMESPACE, f"{source.digest} account {person.key}"))
    try:
        reply = await client.create_user(
            person.username, display_name=person.display_name, request_id=request_id, timeout_s=CALL_S
        )
    except errors.UsernameTaken:  # loaded before, by a run whose journal is gone
        return (await client.get_user(person.username, timeout_s=CALL_S)).id
    return reply.user.id


@dataclass(slots=True)
class Posted:
    """`ids`: in the order they were acked."""

    ids: list[int]


async def load_posts(
    client: Client,
    source: Source,
    journal: Journal,
    *,
    count: int,
    seed: int,
    exponent: float,
    concurrency: int,
    tick: Tick,
) -> Posted:
    """`count` posts, authors by Zipf over their followers.  The same seed posts the same things once (for a day)."""
    rng = random.Random(seed)
    authors = sample.zipf_order(source.follower_counts(), exponent, seed)
    posted = Posted([])

    def plan() -> Iterable[tuple[int, int, str]]:
        for number in range(count):
            mention = source.accounts[rng.randrange(len(source.accounts))].username
            yield number, next(authors), sample.text(rng, number, mention)

    async def post(item: tuple[int, int, str]) -> None:
        number, author, text = item
        request_id = str(uuid.uuid5(_NAMESPACE, f"{source.digest} post {seed} {number}"))
        acting = client.acting_as(journal.users[source.accounts[author].key])
        reply = await acting.create_tweet(text, request_id=request_id, timeout_s=CALL_S)
        posted.ids.append(reply.tweet.id)
        tick()

    await pump(plan(), post, concurrency)
    return posted
