"""A scenario of docs/scenarios.md: whole servers on the memory adapters, called through the client, a year apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from rookery import Client, errors
from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.tokens import TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.identity import TrustingIdentity
from rookery_server.rpc.methods import methods
from rookery_server.store.memory import MemoryStoreWorld
from rookery_server.wiring.serving import Listening, ServerProcess

YEAR_MS = 366 * 86_400_000
OLD, NEW = b"o" * 32, b"n" * 32


@dataclass(slots=True)
class Calendar(SystemClock):
    """The real clock, and so much later."""

    later_ms: int = -YEAR_MS

    def now_ms(self) -> int:
        return SystemClock.now_ms(self) + self.later_ms

    def monotonic(self) -> float:
        return SystemClock.monotonic(self) + self.later_ms / 1000


@dataclass(slots=True)
class Ages:
    """One keyspace and its cache, under servers that come and go."""

    calendar: Calendar = field(default_factory=Calendar)
    stores: MemoryStoreWorld = field(init=False)
    caches: MemoryCacheWorld = field(init=False)

    def __post_init__(self) -> None:
        self.stores, self.caches = MemoryStoreWorld(self.calendar), MemoryCacheWorld(self.calendar)

    @asynccontextmanager
    async def server(self, signer: TokenSigner) -> AsyncIterator[Client]:
        process = ServerProcess(
            self.stores.client(), self.caches.client(), self.calendar, Metrics(m.label for m in methods()),
            TrustingIdentity(), signer, f"test/{self.calendar.later_ms}/{signer}",
            Listening("127.0.0.1:0", "127.0.0.1:0", drain_s=1),
        )  # fmt: skip
        port, _ = await process.start()
        async with Client(f"127.0.0.1:{port}") as client:
            yield client
        await process.drain()


@dataclass(frozen=True, slots=True)
class Kept:
    """What a caller wrote down last year, and what it had not seen by then."""

    ada: int
    bob: int
    page_token: str
    profile_token: str
    newer_token: str
    resume_token: str
    consistency_token: str
    rest: tuple[int, ...]
    """Of home and of Bob's profile: what follows the page, the newest first."""


async def _last_year(client: Client) -> Kept:
    ada, bob = [(await client.create_user(name)).user.id for name in ("ada", "bob")]
    reader, author = client.acting_as(ada), client.acting_as(bob)
    consistency_token = (await reader.follow(bob)).consistency_token
    made = [(await author.create_tweet(f"number {at}")).tweet.id for at in range(30)]
    home = await reader.home_page(page_size=10, consistency_token=consistency_token)
    assert [tweet.id for tweet in home.tweets] == made[:19:-1]
    profile = await client.user_page(bob, page_size=10)
    stream = reader.stream_home(newer_token=home.newer_token)
    async with aclosing(stream):
        resume_token = (await anext(stream)).resume_token
    return Kept(
        ada, bob, home.next_page_token, profile.next_page_token, home.newer_token, resume_token, consistency_token,
        tuple(made[19::-1]),
    )  # fmt: skip


ROTATED: dict[str, Callable[[], TokenSigner]] = {
    "the same key": lambda: TokenSigner({1: OLD}, signing=1),
    "another key signs": lambda: TokenSigner({1: OLD, 2: NEW}, signing=2),
}


@pytest.mark.parametrize("key", ROTATED)
async def test_scenario_05_a_token_from_last_year_works(key: str) -> None:
    ages = Ages()
    async with ages.server(TokenSigner({1: OLD}, signing=1)) as client:
        kept = await _last_year(client)
    ages.calendar.later_ms = 0
    async with ages.server(ROTATED[key]()) as client:
        reader, author = client.acting_as(kept.ada), client.acting_as(kept.bob)
        gone = kept.rest[3]
        await author.delete_tweet(gone)
        made = [(await author.create_tweet(f"a year later {at}")).tweet.id for at in range(60)]
        left = [id_ for id_ in kept.rest if id_ != gone]
        home = await reader.home_page(
            page_size=50, page_token=kept.page_token, consistency_token=kept.consistency_token
        )
        assert [tweet.id for tweet in home.tweets] == left, "it goes on where it was"
        assert home.info.end_of_history
        profile = await client.user_page(kept.bob, page_size=50, page_token=kept.profile_token)
        assert [tweet.id for tweet in profile.tweets] == left
        assert await _since(reader, kept.newer_token, kept.rest) == made[::-1]
        assert await _resumed(reader, kept.resume_token, set(made)) >= set(made)


async def test_scenario_05_a_key_that_was_taken_away_is_what_ends_a_token() -> None:
    ages = Ages()
    async with ages.server(TokenSigner({1: OLD}, signing=1)) as client:
        kept = await _last_year(client)
    ages.calendar.later_ms = 0
    async with ages.server(TokenSigner({2: NEW}, signing=2)) as client:
        with pytest.raises(errors.InvalidToken):
            await client.acting_as(kept.ada).home_page(page_token=kept.page_token)


async def _since(reader: Client, newer_token: str, rest: tuple[int, ...]) -> list[int]:
    """What came since, newest first, without what the poll repeats by design."""
    page = await reader.home_page(page_size=40, newer_token=newer_token)
    found = [tweet.id for tweet in page.tweets]
    while page.next_page_token:
        page = await reader.home_page(page_size=40, page_token=page.next_page_token)
        found += [tweet.id for tweet in page.tweets]
    return [id_ for id_ in found if id_ > rest[0] + (YEAR_MS << 21)]


async def _resumed(reader: Client, resume_token: str, wanted: set[int]) -> set[int]:
    stream, found = reader.stream_home(resume_token=resume_token, give_up_s=5.0), list[int]()
    async with aclosing(stream):
        async for message in stream:
            found += [tweet.id for tweet in message.tweets]
            if wanted <= set(found):
                break
    assert len(found) == len(set(found))
    return set(found)
