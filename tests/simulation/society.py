"""What people do to each other, and to their accounts: block, mute, ask, answer, hide, leave, come back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import CoroutineType
from typing import Any

from rookery_server.domain.errors import NotFound
from tests.simulation.people import People
from tests.simulation.processes import Server
from tests.support.faults import START_MS
from tests.support.oracle import NOT_MUTED, Oracle, Wrong
from tests.support.registers import Change, Operation, Register

EDGES = {"follow": 4, "unfollow": 4}
DEEDS = EDGES | {
    "block": 2, "unblock": 3, "mute": 2, "unmute": 2, "protect": 1, "answer_request": 3, "leave": 1, "come_back": 2,
    "suspend": 1, "unsuspend": 2, "quarrel": 1, "look_between": 3,
}  # fmt: skip


class Society(People):
    """A part of a history."""

    def _pair(self) -> tuple[int, int]:
        one, other = self.dice.sample(self.people, 2)
        return one, other

    # --- edges and requests -------------------------------------------------------------------------------------

    async def follow(self) -> None:
        await self._follow(*self._pair())

    async def _follow(self, one: int, other: int) -> None:
        server, began, oracle = self._server(), self.loop.now, self.oracle
        asks = self._must_ask(one, other, began)
        edge, request = oracle.follows[one, other].begin(began, True), oracle.requests[one, other].begin(began, True)
        of_before = oracle.requests[one, other].begin(began, False)
        operation, work = Operation(began), server.graph.follow(server.call(one), other)
        answer = await self._ask(one, server, work, operation, (), "follow", one, other)
        requested = answer.outcome == "ok" and answer.value.requested
        if answer.outcome == "ok" and not requested and asks:
            raise Wrong(f"{one} follows {other}, who is protected and was not asked")
        edge.close(operation, "fail" if requested else "", flashed=isinstance(answer.error, NotFound))
        unknown = answer.outcome == "info"
        request.close(operation, "" if requested or unknown else "fail", flashed=True)
        # Who follows asks no longer: a request of the time when the account was protected is ended (edge E18).
        of_before.close(operation, "fail" if requested or answer.outcome == "fail" else "")
        if answer.outcome == "ok" and not requested:
            await self._look_after(one, answer, edge)

    def _must_ask(self, one: int, other: int, began: float) -> bool:
        protected = self.oracle.protected.get(other)
        if protected is None or not any(change.strict_for(began) for change in protected.certain(True)):
            return False
        return any(change.ended <= began for change in self.oracle.follows[one, other].certain(False))

    async def unfollow(self) -> None:
        one, other = self._pair()
        server, began, oracle = self._server(), self.loop.now, self.oracle
        changes = (oracle.follows[one, other].begin(began, False), oracle.requests[one, other].begin(began, False))
        work = server.graph.unfollow(server.call(one), other)
        answer = await self._ask(one, server, work, Operation(began), changes, "unfollow", one, other)
        await self._look_after(one, answer, *changes)

    async def answer_request(self) -> None:
        """Somebody answers whoever asks, mostly with yes."""
        asked = [pair for pair, register in self.oracle.requests.items() if register.ever(True)]
        if not asked:
            return
        one, other = self.dice.choice(asked)
        server, began, oracle = self._server(), self.loop.now, self.oracle
        request = oracle.requests[one, other].begin(began, False)
        if self.dice.random() < 0.3:
            work = server.graph.deny(server.call(other), one)
            await self._ask(other, server, work, Operation(began), (request,), "deny", other, one)
            return
        edge = oracle.follows[one, other].begin(began, True)
        operation, work = Operation(began), server.graph.approve(server.call(other), one)
        answer = await self._ask(other, server, work, operation, (request,), "approve", other, one)
        edge.close(operation, flashed=isinstance(answer.error, NotFound))
        await self._look_after(one, answer, edge)

    # --- blocks and mutes ---------------------------------------------------------------------------------------

    async def block(self) -> None:
        await self._block(*self._pair())

    async def _block(self, one: int, other: int) -> None:
        server, began, oracle = self._server(), self.loop.now, self.oracle
        changes: list[Change[Any]] = [oracle.blocks[one, other].begin(began, True)]
        for pair in ((one, other), (other, one)):
            changes += [oracle.follows[pair].begin(began, False), oracle.requests[pair].begin(began, False)]
        work = server.graph.block(server.call(one), other)
        answer = await self._ask(one, server, work, Operation(began), changes, "block", one, other)
        if any(lift.ended >= began for lift in oracle.blocks[one, other].all(False)):
            for change in (changes[1], changes[3]):  # a block that is lifted under way need not cut (delivery D17)
                change.close(Operation(began))
        await self._look_after(self.dice.choice([one, other]), answer, *changes)

    async def unblock(self) -> None:
        blocked = [pair for pair, register in self.oracle.blocks.items() if register.ever(True)]
        one, other = self.dice.choice(blocked) if blocked else self._pair()
        server, change = self._server(), self.oracle.blocks[one, other].begin(self.loop.now, False)
        work = server.graph.unblock(server.call(one), other)
        answer = await self._ask(one, server, work, Operation(self.loop.now), (change,), "unblock", one, other)
        if answer.outcome == "ok" and self.dice.random() < 0.4:
            await self._follow(*self.dice.choice([(one, other), (other, one)]))

    async def quarrel(self) -> None:
        """A block and a follow of the same two, at about the same time."""
        one, other = self._pair()
        await asyncio.gather(
            self._soon(self._block(one, other)),
            self._soon(self._follow(*self.dice.choice([(one, other), (other, one)]))),
        )
        await self._look_between(one, other)

    async def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.001, 0.005, 0.3]))
        await work

    async def look_between(self) -> None:
        await self._look_between(*self._pair())

    async def _look_between(self, one: int, other: int) -> None:
        """What two are to each other is the truth at a quorum: whatever was acked shows."""
        server, began, oracle = self._server(), self.loop.now, self.oracle
        answer = await server.ask(server.graph.relationships(server.call(one), [other]))
        if answer.outcome != "ok":
            return
        found = answer.value[other]
        self._told(server.process.name, "between", found)
        for (pair, shown), blocked in (
            (((one, other), found.following), _blocked(oracle, one, other, began)),
            (((other, one), found.followed_by), _blocked(oracle, one, other, began)),
        ):
            if shown and blocked and oracle.follows[pair].all_ended(True, began):
                raise Wrong(f"{pair} follow under a block")
        for register, shown, what in (
            (oracle.follows[one, other], found.following, "following"),
            (oracle.follows[other, one], found.followed_by, "followed by"),
            (oracle.blocks[one, other], found.blocking, "blocking"),
            (oracle.blocks[other, one], found.blocked_by, "blocked by"),
        ):
            standing = register.standing()
            if any(change.ended <= began for change in standing) and standing[0].value is not shown:
                raise Wrong(f"{one} is told about {other}: {what} {shown}, and {standing[0]} was acked")

    async def mute(self) -> None:
        one, other = self._pair()
        until = 0 if self.dice.random() < 0.3 else int(START_MS + (self.loop.now + self.dice.uniform(2, 15)) * 1000)
        await self._mute(one, other, until)

    async def unmute(self) -> None:
        muted = [pair for pair, register in self.oracle.mutes.items() if register.standing()]
        await self._mute(*(self.dice.choice(muted) if muted else self._pair()), NOT_MUTED)

    async def _mute(self, one: int, other: int, until: int) -> None:
        server, change = self._server(), self.oracle.mutes[one, other].begin(self.loop.now, until)
        call = server.call(one)
        work = server.graph.unmute(call, other) if until == NOT_MUTED else server.graph.mute(call, other, until)
        answer = await self._ask(one, server, work, Operation(self.loop.now), (change,), "mute", one, other, until)
        await self._look_after(one, answer, change)

    # --- accounts -----------------------------------------------------------------------------------------------

    async def protect(self) -> None:
        on, one, server = self.dice.random() < 0.6, self._person(), self._server()
        await self._change(
            one, one, server, self.oracle.protected[one], server.users.set_protected(server.call(one), on), on
        )

    async def leave(self) -> None:
        one, server = self._person(), self._server()
        # Again is OK, and so is coming back: nobody's own state speaks against either.
        await self._change(
            one, 0, server, self.oracle.deactivated[one], server.users.deactivate(server.call(one)), True
        )

    async def come_back(self) -> None:
        one, server = self._one_of(self.oracle.deactivated), self._server()
        await self._change(
            one, 0, server, self.oracle.deactivated[one], server.users.reactivate(server.call(one)), False
        )

    async def suspend(self) -> None:
        one, server = self._person(), self._server()
        await self._change(
            one, 0, server, self.oracle.suspended[one], server.moderation.suspend(server.admin(), one), True
        )

    async def unsuspend(self) -> None:
        one, server = self._one_of(self.oracle.suspended), self._server()
        work = server.moderation.unsuspend(server.admin(), one)
        await self._change(one, 0, server, self.oracle.suspended[one], work, False)

    def _one_of(self, registers: Mapping[int, Register[bool]]) -> int:
        return self.dice.choice([id_ for id_, one in registers.items() if one.ever(True)] or self.people)

    async def _change(
        self, of: int, actor: int, server: Server, register: Register[bool], work: Coroutine[Any, Any, Any], value: bool
    ) -> None:
        assert isinstance(work, CoroutineType)
        change, name = register.begin(self.loop.now, value), work.__qualname__
        answer = await self._ask(actor, server, work, Operation(self.loop.now), (change,), name, of, value)
        if answer.outcome == "ok" and self.dice.random() < 0.6:
            await self._page(self._person(), None, self._server())


def _blocked(oracle: Oracle, one: int, other: int, began: float) -> bool:
    """Whether a block stood for certain, either way, when a read began."""
    registers = (oracle.blocks[one, other], oracle.blocks[other, one])
    return any(change.ended <= began for register in registers for change in register.certain(True))
