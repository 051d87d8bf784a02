"""A home that stays open, through the client and two servers, on the real engines."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

import pytest

from rookery import Client, errors
from rookery_server.dev.installation import Service
from rookery_server.domain.limits import STREAMS_PER_USER
from tests.e2e.conftest import Running
from tests.support.patient import settled

CALL_S = 10.0
ARRIVES_S = 40.0
"""What has to come comes within seconds, or with the next heartbeat."""
QUICK = {"ROOKERY_STREAMS__HEARTBEAT_S": "1"}
"""A page is read for every heartbeat, so after two of them nothing more can be on its way."""


@dataclass(slots=True)
class Pair:
    """Two servers of the installation that are these tests' own."""

    running: Running
    servers: list[Service]
    started: int = 2

    def replace(self, at: int) -> Service:
        self.started += 1
        name = f"e2e-live-{self.started}"
        self.servers[at] = self.running.installation.start_server(name, settings=QUICK)
        return self.servers[at]


@pytest.fixture(scope="module")
def pair(running: Running) -> Iterator[Pair]:
    servers = [running.installation.start_server(f"e2e-live-{n}", settings=QUICK) for n in (1, 2)]
    pair = Pair(running, servers)
    yield pair
    for server in pair.servers:
        server.node.stop()


@dataclass(slots=True)
class Watching:
    """Takes one stream's messages, from wherever it was when it is opened again elsewhere."""

    reader: int
    shown: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    heartbeats: int = 0
    claims_ms: list[int] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    async def open(self, target: str) -> None:
        """Returns with the first message."""
        before = len(self.tokens)
        self.task = asyncio.create_task(self._take(target))
        await self.until(lambda: len(self.tokens) > before)

    async def _take(self, target: str) -> None:
        async with Client(target) as client:
            stream = client.acting_as(self.reader).stream_home(
                resume_token=self.tokens[-1] if self.tokens else "", give_up_s=0.0
            )
            async with aclosing(stream):
                async for message in stream:
                    self.shown += [tweet.id for tweet in message.tweets]
                    self.tokens.append(message.resume_token)
                    self.heartbeats += not message.tweets
                    self.claims_ms.append(message.info.complete_through.ToMilliseconds())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(ARRIVES_S):
            while not condition():
                assert self.task is not None
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.05)

    async def quiet(self) -> None:
        """Until whatever else would come has come."""
        before = self.heartbeats
        await self.until(lambda: self.heartbeats >= before + 2)

    async def leave(self) -> None:
        """As a connection that breaks: nobody says good-bye in order."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    async def ends(self) -> errors.RookeryError:
        assert self.task is not None
        async with asyncio.timeout(ARRIVES_S):
            await asyncio.wait([self.task])
        error = self.task.exception()
        assert isinstance(error, errors.RookeryError)
        return error


async def people(client: Client, unique: str, count: int) -> list[int]:
    """The first follows the others, and has looked at the home."""
    made = [(await client.create_user(f"{unique}{at}", timeout_s=CALL_S)).user.id for at in range(count)]
    for other in made[1:]:
        await client.acting_as(made[0]).follow(other, timeout_s=CALL_S)
    await client.acting_as(made[0]).home_page(timeout_s=CALL_S)
    return made


async def post(client: Client, author: int, text: str = "x") -> int:
    return (await client.acting_as(author).create_tweet(text, timeout_s=CALL_S)).tweet.id


async def test_posts_come_in_order_and_once_over_forced_reconnects(client: Client, pair: Pair, unique: str) -> None:
    reader, *authors = await people(client, unique, 3)
    watching, dice = Watching(reader), random.Random(5)
    made: list[tuple[int, int]] = []

    async def posted() -> None:
        author = dice.choice(authors)
        made.append((author, await post(client, author)))

    for at in range(8):
        await watching.open(pair.servers[at % 2].target)
        for _ in range(dice.randrange(1, 4)):
            await posted()
        if at % 3:  # else it breaks with posts on their way
            await watching.until(lambda: len(watching.shown) >= len(made))
        await watching.leave()
        await posted()
    await watching.open(pair.servers[0].target)
    await watching.until(lambda: len(watching.shown) >= len(made))
    await watching.quiet()
    await watching.leave()
    assert sorted(watching.shown) == [id_ for _, id_ in made]
    for one in authors:  # what two say is delivered side by side
        of_one = [id_ for author, id_ in made if author == one]
        assert [id_ for id_ in watching.shown if id_ in of_one] == of_one


async def test_after_a_server_is_killed_the_other_goes_on_where_it_was(client: Client, pair: Pair, unique: str) -> None:
    reader, author = await people(client, unique, 2)
    watching, made = Watching(reader), list[int]()
    await watching.open(pair.servers[0].target)
    made.append(await post(client, author))
    await watching.until(lambda: watching.shown == made)
    made.append(await post(client, author))
    await asyncio.to_thread(pair.servers[0].node.kill)
    assert isinstance(await watching.ends(), errors.Unavailable)
    made += [await post(client, author) for _ in range(3)]
    await watching.open(pair.servers[1].target)
    made.append(await post(client, author))
    await watching.until(lambda: len(watching.shown) >= len(made))
    await watching.quiet()
    await watching.leave()
    assert watching.shown == made
    await asyncio.to_thread(pair.replace, 0)


async def test_heartbeats_carry_a_token_and_a_claim_that_moves(client: Client, pair: Pair, unique: str) -> None:
    reader, author = await people(client, unique, 2)
    watching = Watching(reader)
    await watching.open(pair.servers[0].target)
    await watching.until(lambda: watching.heartbeats >= 6 and watching.claims_ms[-1] > watching.claims_ms[0])
    tokens, claims_ms = list(watching.tokens), list(watching.claims_ms)
    await watching.leave()
    assert all(tokens)
    assert claims_ms == sorted(claims_ms)
    assert claims_ms[-1] > time.time() * 1000 - 20_000
    missed = await post(client, author)
    await watching.open(pair.servers[1].target)
    await watching.until(lambda: watching.shown == [missed])
    await watching.leave()


async def test_who_is_left_blocked_or_deleted_while_it_is_open_does_not_come(
    client: Client, pair: Pair, unique: str
) -> None:
    reader, kept, left, blocked = await people(client, unique, 4)
    acting, watching = client.acting_as(reader), Watching(reader)
    await watching.open(pair.servers[0].target)
    made = [await post(client, author) for author in (kept, left, blocked)]
    await watching.until(lambda: len(watching.shown) >= len(made))
    await settled(lambda: acting.unfollow(left, timeout_s=CALL_S))
    await settled(lambda: acting.block(blocked, timeout_s=CALL_S))
    for author in (left, blocked):
        await post(client, author)
    made.append(await post(client, kept))
    await watching.until(lambda: len(watching.shown) >= len(made))
    await watching.leave()
    gone = await post(client, kept)
    await settled(lambda: client.acting_as(kept).delete_tweet(gone, timeout_s=CALL_S))
    made.append(await post(client, kept))
    await watching.open(pair.servers[1].target)
    await watching.until(lambda: len(watching.shown) >= len(made))
    await watching.quiet()
    await watching.leave()
    assert sorted(watching.shown) == made, "what several say is delivered side by side"


async def test_one_stream_too_many_is_refused_and_the_others_go_on(client: Client, pair: Pair, unique: str) -> None:
    reader, author = await people(client, unique, 2)
    open_ones = [Watching(reader) for _ in range(STREAMS_PER_USER)]
    for watching in open_ones:
        await watching.open(pair.servers[1].target)
    async with AsyncExitStack() as stack:
        direct = await stack.enter_async_context(Client(pair.servers[1].target))
        one_more = direct.acting_as(reader).stream_home(give_up_s=0.0)
        await stack.enter_async_context(aclosing(one_more))
        with pytest.raises(errors.TooManyStreams):
            await anext(one_more)
    made = await post(client, author)
    for watching in open_ones:
        await watching.until(lambda watching=watching: watching.shown == [made])  # type: ignore[misc]
        await watching.leave()


async def test_a_drain_ends_it_so_that_it_can_be_resumed(client: Client, pair: Pair, unique: str) -> None:
    reader, author = await people(client, unique, 2)
    watching = Watching(reader)
    await watching.open(pair.servers[0].target)
    made = [await post(client, author)]
    await watching.until(lambda: watching.shown == made)
    stopping = asyncio.create_task(asyncio.to_thread(pair.servers[0].node.stop))
    error = await watching.ends()
    await stopping
    assert isinstance(error, errors.Unavailable)
    made.append(await post(client, author))
    await watching.open(pair.servers[1].target)
    await watching.until(lambda: len(watching.shown) >= len(made))
    await watching.leave()
    assert watching.shown == made
    await asyncio.to_thread(pair.replace, 0)
