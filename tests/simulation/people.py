"""What people do in a history: they post, take away, follow, and do it again when nobody answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeAlias

from rookery_server.domain.tokens import ConsistencyToken, NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage
from rookery_server.services.posting import Draft
from tests.simulation.processes import Answer, Server
from tests.support.faults import Trace
from tests.support.oracle import Oracle, Post, Wrong
from tests.support.registers import Change, Operation
from tests.support.virtual_time import VirtualTimeLoop

DEEDS = {"post": 30, "delete": 4}
"""How often, in proportion."""
Position: TypeAlias = PageCursor | NewerCursor | None


class People:
    """A part of a history: the others are what they see and what goes wrong."""

    loop: VirtualTimeLoop
    trace: Trace
    dice: random.Random
    oracle: Oracle
    people: list[int]
    servers: list[Server]
    texts: int

    async def _page(
        self,
        user: int,
        position: Position,
        server: Server,
        size: int = 0,
        *,
        token: ConsistencyToken | None = None,
        token_post: Post | None = None,
        named: Collection[Change[Any]] = (),
        known: bool = False,
    ) -> TimelinePage | None:
        raise NotImplementedError

    def _told(self, *what: object) -> None:
        self.trace.note(self.loop.now, *what)

    def _server(self) -> Server:
        return self.dice.choice(self.servers)

    def _person(self) -> int:
        return self.dice.choice(self.people)

    async def _ask(
        self, actor: int, server: Server, work: Coroutine[Any, Any, Any], operation: Operation,
        changes: Sequence[Change[Any]], *what: object,
    ) -> Answer:  # fmt: skip
        """Has it done, and enters into `operation` and the registers what became of it.  `actor`: who must be active
        for it, 0 = nobody."""
        answer = await server.ask(work)
        operation.outcome = answer.outcome
        if answer.outcome != "info":
            operation.ended = self.loop.now
        if answer.outcome == "ok":
            token = getattr(answer.value, "token", None)
            operation.event_ms = token.event_ms if token else 0
            # A clock that was set back in the middle of a call does not make the ack older than its event, which an
            # answer that wrote nothing names by the latest time it can have (edge, E5).
            operation.acked_ms = max(server.process.clock.now_ms(), operation.event_ms)
            operation.settled = getattr(answer.value, "settled", False)
        for change in changes:
            change.close(operation)
        self._told(server.process.name, *what, answer.outcome, operation.settled, type(answer.error).__name__)
        if answer.outcome == "ok" and actor and (reason := self._inactive(actor, operation.began)):
            raise Wrong(f"{actor} was {reason} and settled, and did {what}")
        return answer

    def _inactive(self, actor: int, began: float) -> str:
        for registers, reason in ((self.oracle.suspended, "suspended"), (self.oracle.deactivated, "deactivated")):
            register = registers.get(actor)
            if register is not None and any(one.strict_for(began) for one in register.certain(True)):
                return reason
        return ""

    # --- posts --------------------------------------------------------------------------------------------------

    async def post(self) -> Post:
        post, draft = self._draft(self._person())
        request_id = f"00000000-0000-4000-8000-{self.texts:012d}" if self.dice.random() < 0.7 else ""
        if request_id and self.dice.random() < 0.1:
            await asyncio.gather(*(self._try_post(post, draft, request_id) for _ in range(self.dice.choice([2, 3]))))
        token = await self._try_post(post, draft, request_id)
        while request_id and self._repeats(post):
            await asyncio.sleep(self.dice.choice([0.0, 0.3, 17.0]))
            token = await self._try_post(post, draft, request_id) or token
        if request_id and self.dice.random() < 0.05:
            await self._try_other_content(post, request_id)
        if token is not None and self.dice.random() < 0.3:
            await self._page(post.author, None, self._server(), token=token, token_post=post)
        return post

    def _draft(self, author: int) -> tuple[Post, Draft]:
        self.texts += 1
        post = Post(author, f"new {author} {self.texts}")
        self.oracle.texts[post.text] = post
        answered, quoted = self._spoken_of(0.15), self._spoken_of(0.15)
        post.answered = answered.author if answered else 0
        post.quoted = quoted.author if quoted else 0
        answered_id, quoted_id = (one.tweet_id or 0 if one else 0 for one in (answered, quoted))
        return post, Draft(post.text, answered_id, quoted_id)

    def _spoken_of(self, probability: float) -> Post | None:
        return self.dice.choice(self._recent(20)) if self.dice.random() < probability else None

    def _recent(self, most: int) -> list[Post]:
        """The newest posts there are; nobody's history is ever empty."""
        return self.oracle.newest(most) or [Post(0, "")]

    def _repeats(self, post: Post) -> bool:
        """Mostly because nobody knows; now and then although it was answered."""
        return self.dice.random() < (0.6 if post.tries[-1].outcome == "info" else 0.05)

    async def _try_post(self, post: Post, draft: Draft, request_id: str) -> ConsistencyToken | None:
        server, operation = self._server(), Operation(self.loop.now)
        post.tries.append(operation)
        work = server.tweets.create(server.call(post.author), draft, request_id)
        answer = await self._ask(post.author, server, work, operation, (), "post", post.text, request_id)
        if answer.outcome != "ok":
            return None
        self.oracle.learn(post, answer.value.tweet_id)
        token: ConsistencyToken | None = answer.value.token
        return token

    async def _try_other_content(self, post: Post, request_id: str) -> None:
        """One request id is one content: whichever is acked first, the other never is."""
        other, draft = self._draft(post.author)
        await self._try_post(other, draft, request_id)
        if post.acked_ms() is not None and other.acked_ms() is not None:
            raise Wrong(f"{post.text} and {other.text} were both posted as {request_id}")

    async def delete(self) -> None:
        known = self.oracle.newest(self.dice.choice([2, 12, 40]))
        known = [post for post in known if not post.deletes or self.dice.random() < 0.1]
        if not known:
            return
        post = self.dice.choice(known)
        server, operation = self._server(), Operation(self.loop.now)
        post.deletes.append(operation)
        work = server.tweets.delete(server.call(post.author), post.tweet_id or 0)
        answer = await self._ask(post.author, server, work, operation, (), "delete", post.text)
        if answer.outcome == "ok" and self.dice.random() < 0.4:
            readers = [user for user in self.people if self.oracle.follows[user, post.author].ever(True)]
            reader = self.dice.choice([post.author, *readers])
            token, token_post = (answer.value.token, post) if self.dice.random() < 0.5 else (None, None)
            await self._page(reader, None, self._server(), token=token, token_post=token_post)

    async def _look_after(self, user: int, answer: Answer, *changes: Change[Any]) -> None:
        """Half of them look at once what they have done, half of these with the token they got."""
        if answer.outcome == "ok" and self.dice.random() < 0.5:
            token, named = (answer.value.token, changes) if self.dice.random() < 0.5 else (None, ())
            await self._page(user, None, self._server(), token=token, named=named)
