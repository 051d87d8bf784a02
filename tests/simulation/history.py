"""One history: a few people, two servers, two workers, three stores' replicas, three cache nodes, and what goes wrong.

Everything is drawn from one seed.  `simulate` runs it to its end and raises `Wrong` at the first broken promise.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain import ids as snowflake
from rookery_server.domain.models import Profile, User
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage
from rookery_server.services.posting import Draft
from rookery_server.store.memory import EVERYWHERE, Cell, MemoryStoreWorld, Mutation
from rookery_server.workers.settings import WorkerSettings
from tests.simulation.processes import Answer, Server, worker
from tests.simulation.troubles import ACTIVE_S, Climate, Troubles
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
from tests.support.oracle import Change, Operation, Oracle, Post, Read, Wrong
from tests.support.virtual_time import VirtualTimeLoop, run

SHARDS = 3
SKEW_MS = 900
"""Below the bound of a second a process may be off and not notice."""
SETTINGS = WorkerSettings(follower_page=3, audit_ages_s=(5, 15, 30, 60), late_print_after_s=5.0)
"""Small pages and quick audits, so that a minute holds what otherwise takes a day."""
QUIET_CLAIM_S = 10.0
"""After quiet a page claims at least so much."""
AUDITED_AFTER_S = 8.0
"""What arrives later than this after its id may be found only by an audit."""
PAGES_MOST = 500


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


class History(Troubles):
    def __init__(self, seed: int, trace: Trace, loop: VirtualTimeLoop, climate: Climate | None = None) -> None:
        self.seed, self.loop, self.trace, self.climate = seed, loop, trace, climate
        self.weather = Weather()
        self.chance = Chance(seed, loop, trace, self.weather)
        self.dice = self.chance.dice
        self.true_clock = SkewedClock(loop)
        self.store = MemoryStoreWorld(self.true_clock, SHARDS)
        self.cache = MemoryCacheWorld(
            self.true_clock, replicated=climate.replicated if climate else self.dice.random() < 0.7
        )
        self.oracle = Oracle()
        self.people = list(range(1, self.dice.choice([4, 6, 8]) + 1))
        self.servers: list[Server] = []
        self.workers: list[Process] = []
        self.crashes = self._names = self._texts = 0
        self._wrong: BaseException | None = None

    # --- what was there before ----------------------------------------------------------------------------------

    def seed_world(self) -> None:
        for person in self.people:
            self.store.users[person] = User(person, f"user{person}", Profile(), START_MS, "e")
            for other in self.people:
                if person != other and self.dice.random() < 0.6:
                    self.oracle.pairs[person, other].on_from_start = True
                    self._put("following", person, other, Cell(True, 1))
                    self._put("followers", other, person, Cell(True, 1))
            for at in range(self.dice.choice([0, 3, 3, 10, 10, 240])):
                self._seed_tweet(person, at)

    def _seed_tweet(self, author: int, at: int) -> None:
        age_ms = self.dice.randrange(60_000, 30 * 86_400_000)
        tweet_id = snowflake.compose(START_MS - age_ms, 1000, at)
        text = f"old {author} {at}"
        cell = Cell((author, f"{tweet_id}:{author}:{text}".encode()), snowflake.write_timestamp_us(tweet_id))
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
        server = Server(process, store, cache, self._choice())
        self._watch(process.spawn(server.run()))
        return server

    def start_worker(self) -> Process:
        process = self._process("worker")
        store = self.store.client(process.clock, StoreFaults(self.chance, process))
        cache = self.cache.client(process.clock, CacheFaults(self.chance, process))
        self._watch(process.spawn(worker(process, store, cache, SETTINGS, self._choice()).run()))
        return process

    def _watch(self, task: asyncio.Task[object]) -> None:
        """A process that dies of a bug ends the history."""

        def ended(done: asyncio.Task[object]) -> None:
            if not done.cancelled() and done.exception() is not None and self._wrong is None:
                self._wrong = done.exception()

        task.add_done_callback(ended)

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
        weights = {"post": 30, "delete": 4, "follow": 4, "unfollow": 4, "look": 18, "scroll": 3, "poll_newer": 4}
        if self.climate is not None:
            weights |= self.climate.deeds
        deeds: list[Callable[[], Awaitable[object]]] = [getattr(self, name) for name in weights]
        while True:
            await asyncio.sleep(self.dice.choice([0.0, 0.05, 0.4, 1.0]))
            await self.dice.choices(deeds, list(weights.values()))[0]()

    async def _watcher(self) -> None:
        """Somebody who looks at everybody's page again and again."""
        while True:
            for person in self.people:
                await asyncio.sleep(self.dice.uniform(0.0, 0.3))
                await self._page(person, None, self._server(), self.dice.choice([2, 20, 20]))

    def _server(self) -> Server:
        return self.dice.choice(self.servers)

    def _person(self) -> int:
        return self.dice.choice(self.people)

    def _close(self, operation: Operation, answer: Answer, server: Server, *what: object) -> None:
        operation.outcome = answer.outcome
        if answer.outcome != "info":
            operation.ended = self.loop.now
        if answer.outcome == "ok":
            operation.event_ms = answer.value.token.event_ms
            # A clock that was set back in the middle of a call does not make the ack older than its event.
            operation.acked_ms = max(server.process.clock.now_ms(), operation.event_ms)
        self._told(server.process.name, *what, answer.outcome, type(answer.error).__name__)

    async def post(self) -> Post:
        author = self._person()
        self._texts += 1
        post = Post(author, f"new {author} {self._texts}")
        self.oracle.texts[post.text] = post
        request_id = f"00000000-0000-4000-8000-{self._texts:012d}" if self.dice.random() < 0.7 else ""
        token = await self._try_post(post, request_id)
        while request_id and post.tries[-1].outcome == "info" and self.dice.random() < 0.6:
            await asyncio.sleep(self.dice.choice([0.0, 0.3, 17.0]))
            token = await self._try_post(post, request_id)
        if token is not None and self.dice.random() < 0.3:
            await self._page(author, None, self._server(), token=token, token_post=post)
        return post

    async def _try_post(self, post: Post, request_id: str) -> object:
        server, operation = self._server(), Operation(self.loop.now)
        post.tries.append(operation)
        answer = await server.ask(server.tweets.create(server.call(post.author), Draft(post.text), request_id))
        self._close(operation, answer, server, "post", post.text)
        if answer.outcome != "ok":
            return None
        self.oracle.learn(post, answer.value.tweet_id)
        return answer.value.token

    async def delete(self) -> None:
        known = [post for post in self.oracle.by_id.values() if not post.deletes or self.dice.random() < 0.1]
        recent = sorted(known, key=lambda post: post.tweet_id or 0)[-self.dice.choice([2, 12, 40]) :]
        if not recent:
            return
        post = self.dice.choice(recent)
        server, operation = self._server(), Operation(self.loop.now)
        post.deletes.append(operation)
        answer = await server.ask(server.tweets.delete(server.call(post.author), post.tweet_id or 0))
        if answer.outcome == "ok":
            operation.settled = answer.value.settled
        self._close(operation, answer, server, "delete", post.text, operation.settled)
        if answer.outcome == "ok" and self.dice.random() < 0.4:
            readers = [user for user in self.people if self.oracle.pairs[user, post.author].possible(self.loop.now)]
            reader = self.dice.choice([post.author, *readers])
            token = answer.value.token if self.dice.random() < 0.5 else None
            await self._page(reader, None, self._server(), token=token, token_post=post if token else None)

    async def follow(self) -> None:
        await self._change(on=True)

    async def unfollow(self) -> None:
        await self._change(on=False)

    async def _change(self, on: bool) -> None:
        one, other = self.dice.sample(self.people, 2)
        server, change = self._server(), Change(self.loop.now, on=on)
        self.oracle.pairs[one, other].changes.append(change)
        use = server.graph.follow if on else server.graph.unfollow
        answer = await server.ask(use(server.call(one), other))
        if answer.outcome == "ok":
            change.settled = answer.value.settled
        self._close(change, answer, server, "follow" if on else "unfollow", one, other, change.settled)
        if answer.outcome == "ok" and self.dice.random() < 0.5:
            named = self.dice.random() < 0.5
            token = answer.value.token if named else None
            await self._page(one, None, self._server(), token=token, token_change=(other, change) if named else None)

    # --- pages --------------------------------------------------------------------------------------------------

    async def _page(
        self,
        user: int,
        position: PageCursor | NewerCursor | None,
        server: Server,
        size: int = 0,
        *,
        token: object = None,
        token_post: Post | None = None,
        token_change: tuple[int, Change] | None = None,
    ) -> TimelinePage | None:
        began = self.loop.now
        size = size or self.dice.choice([2, 5, 20, 100])
        answer = await server.ask(server.home.page(server.call(user), size, position, token))  # type: ignore[arg-type]
        page = answer.value
        if answer.outcome != "ok":
            self._told(server.process.name, "page of", user, answer.outcome, type(answer.error).__name__)
            return None
        self._told(server.process.name, "page of", user, page.info, *page.tweet_ids)
        self._learn(page)
        self.oracle.check(Read(user, began, self.loop.now, position, page, token_post, token_change))
        return page  # type: ignore[no-any-return]

    def _learn(self, page: TimelinePage) -> None:
        """Ids of posts whose outcome nobody heard."""
        for id_, author, framed in zip(page.tweet_ids, page.author_ids, page.bodies, strict=True):
            found_id, found_author, text = framed.decode().split(":", 2)
            post = self.oracle.texts.get(text)
            if post is None or int(found_author) != author or post.author != author or not found_id.endswith(str(id_)):
                raise Wrong(f"{framed!r} under {id_} of {author}")
            self.oracle.learn(post, id_)

    async def look(self) -> None:
        await self._page(self._person(), None, self._server())

    async def scroll(self) -> None:
        """Down to the end, through whichever server; nothing twice."""
        user, size, seen = self._person(), self.dice.choice([3, 20, 100]), 0
        position: PageCursor | NewerCursor | None = None
        for _ in range(PAGES_MOST):
            page = await self._page(user, position, self._server(), size)
            if page is None:
                return
            seen += len(page.tweet_ids)
            if page.next_cursor is None:
                if not page.info.end_of_history:
                    raise Wrong(f"no cursor, and not the end: {page.info}")
                return
            position = page.next_cursor
            if seen > 60 and self.dice.random() < 0.3:
                return
        raise Wrong(f"user {user} never reaches the end")

    async def poll_newer(self) -> None:
        user = self._person()
        first = await self._page(user, None, self._server())
        if first is None or first.newer_cursor is None:
            return
        await asyncio.sleep(self.dice.uniform(0.0, 8.0))
        position: PageCursor | NewerCursor | None = first.newer_cursor
        while position is not None:
            page = await self._page(user, position, self._server())
            if page is None:
                return
            position = page.next_cursor

    # --- from the beginning to the end --------------------------------------------------------------------------

    async def run(self) -> None:
        self.seed_world()
        self.servers = [self.start_server() for _ in range(2)]
        self.workers = [self.start_worker() for _ in range(2)]
        await asyncio.sleep(self.dice.uniform(0.5, 6.0))
        self.brew()
        busy = [self.loop.create_task(self._client()) for _ in range(3)]
        busy.append(self.loop.create_task(self._watcher()))
        busy += [self.loop.create_task(self._trouble()), self.loop.create_task(self._respawn())]
        await self._while_well(busy, self.climate.active_s if self.climate else ACTIVE_S)
        self.weather.calm()
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
        await self._while_well(busy[-1:], 25.0)
        if self.chance.latest_s > AUDITED_AFTER_S:
            await self._while_well(busy[-1:], 90.0)
        await self._end(busy[-1:])
        await self._final_pages()

    async def _learn_what_stands(self) -> None:
        """Posts whose outcome nobody heard, and that happened: they are to be delivered like any other."""
        for author in self.people:
            for row in (await self.store.client().user_tweets(author, None, 10_000)).rows:
                if row.body:
                    self.oracle.found(self.oracle.texts[row.body.decode().split(":", 2)[2]], row.tweet_id)

    async def _final_pages(self) -> None:
        await self._learn_what_stands()
        for user in self.people:
            server, shown = self._server(), list[int]()
            position: PageCursor | NewerCursor | None = None
            while True:
                page = await self._page(user, position, server, 20)
                if page is None:
                    raise Wrong("after quiet a page is refused")
                if page.info.complete_through_ms < self.true_clock.now_ms() - QUIET_CLAIM_S * 1000:
                    raise Wrong(f"after quiet a page claims no more than {page.info}")
                shown += page.tweet_ids
                if page.next_cursor is None:
                    break
                position = page.next_cursor
            self.oracle.check_scroll(user, shown, self.loop.now)
        await self._check_mirrors()

    async def _check_mirrors(self) -> None:
        store = self.store.client()
        for one in self.people:
            followed = {edge.followee_id for edge in await store.following(one) if edge.on}
            mirrored = {who for who in self.people if one in (await store.followers(who, None, 100)).follower_ids}
            if followed != mirrored:
                raise Wrong(f"{one} follows {followed} in one table, {mirrored} in the other")


def simulate(seed: int, trace: Trace | None = None, climate: Climate | None = None) -> Outcome:
    """Raises Wrong, or whatever a process died of."""
    logging.disable(logging.CRITICAL)
    loop, trace = VirtualTimeLoop(), trace or Trace()
    group_tasks(loop)
    loop.set_exception_handler(lambda loop, context: None)
    history = History(seed, trace, loop, climate)
    try:
        run(history.run(), loop, history.chance.end)
    finally:
        logging.disable(logging.NOTSET)
    oracle = history.oracle
    return Outcome(seed, trace.hash(), oracle.pages, oracle.shown, history._texts, history.crashes, loop.now)
