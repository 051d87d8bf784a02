"""Started writes: how often they are sent, and what their callers hear."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.domain.errors import IdsRefused, Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind
from rookery_server.services import writes as module
from rookery_server.services.calls import Call
from rookery_server.services.writes import StartedWrites
from tests.unit.services.clocks import START_MS, Mint, TestClock

DRAFT = Event(0, EventKind.POST, 1, 2, 3)


class Wire:
    """Answers attempts one after another with what it was given; None = acked."""

    def __init__(self, *answers: Exception | None):
        self.answers = list(answers)
        self.sent: list[Event] = []

    async def send(self, event: Event) -> None:
        self.sent.append(event)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


def _unknown() -> StoreUnavailable:
    return StoreUnavailable(outcome=Outcome.UNKNOWN)


async def _attempt(wire: Wire, left_s: float = 2.0) -> Event:
    clock = TestClock()
    return await StartedWrites(clock, Mint(clock)).attempt(Call(1, clock.monotonic() + left_s), DRAFT, wire.send)


async def test_an_acked_attempt_is_the_only_one() -> None:
    wire = Wire(None)
    event = await _attempt(wire)
    assert wire.sent == [event]
    assert event.id > 0
    assert not event.repeat


async def test_edge_E4_an_unknown_attempt_is_repeated_under_a_new_event_id() -> None:
    wire = Wire(_unknown(), None)
    event = await _attempt(wire)
    first, second = wire.sent
    assert event == second
    assert second.id > first.id
    assert (first.repeat, second.repeat) == (False, True)
    assert (first.version, first.target) == (second.version, second.target)


async def _slow_attempt(*seconds: float) -> list[Event]:
    """All acked, each so long after it was minted."""
    return await _slow_attempt_on(TestClock(), *seconds)


async def _slow_attempt_on(clock: TestClock, *seconds: float) -> list[Event]:
    sent, takes = list[Event](), list(seconds)

    async def send(event: Event) -> None:
        sent.append(event)
        clock.advance(int(takes.pop(0) * 1000))

    await StartedWrites(clock, Mint(clock)).attempt(Call(1, clock.monotonic() + 2), DRAFT, send)
    return sent


async def test_edge_E4_an_attempt_acked_behind_the_readers_is_repeated_under_a_new_event_id() -> None:
    """A server that stood still between minting and sending: nobody may look there any more."""
    assert len(await _slow_attempt(2.9)) == 1
    first, second = await _slow_attempt(3.1, 0)
    assert second.id > first.id
    assert second.repeat
    with pytest.raises(StoreUnavailable) as failed:
        await _slow_attempt(3.1, 3.1)
    assert failed.value.outcome is Outcome.UNKNOWN


async def test_edge_E4_an_attempt_acked_late_is_repeated_whichever_clock_knows_it() -> None:
    class SetBack(TestClock):
        def now_ms(self) -> int:
            return super().now_ms() - (5_000 if self.monotonic() * 1000 > START_MS else 0)

    class Suspended(TestClock):
        def monotonic(self) -> float:
            return START_MS / 1000

    assert len(await _slow_attempt_on(SetBack(), 2.9)) == 1
    assert len(await _slow_attempt_on(SetBack(), 3.1, 0)) == 2
    with pytest.raises(StoreUnavailable):
        await _slow_attempt_on(SetBack(), 3.1, 3.1)
    assert len(await _slow_attempt_on(Suspended(), 2.9)) == 1
    assert len(await _slow_attempt_on(Suspended(), 3.1, 0)) == 2


@pytest.mark.parametrize("second", [_unknown(), StoreUnavailable(), IdsRefused("clock")])
async def test_edge_E4_twice_unanswered_is_unknown(second: Exception) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        await _attempt(Wire(_unknown(), second))
    assert failed.value.outcome is Outcome.UNKNOWN


async def test_edge_E4_without_time_left_it_is_not_repeated() -> None:
    wire = Wire(_unknown())
    with pytest.raises(StoreUnavailable) as failed:
        await _attempt(wire, left_s=0.04)
    assert failed.value.outcome is Outcome.UNKNOWN
    assert len(wire.sent) == 1


async def test_proof_of_nothing_is_passed_on() -> None:
    wire = Wire(StoreUnavailable())
    with pytest.raises(StoreUnavailable) as failed:
        await _attempt(wire)
    assert failed.value.outcome is Outcome.NONE
    assert len(wire.sent) == 1


async def test_edge_E8_a_cancelled_caller_does_not_end_the_write() -> None:
    clock = TestClock()
    writes, release, done = StartedWrites(clock, Mint(clock)), asyncio.Event(), asyncio.Event()

    async def write() -> None:
        await release.wait()
        done.set()

    caller = asyncio.create_task(writes.run(write()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    release.set()
    await writes.drain()
    assert done.is_set()


async def test_edge_E8_a_write_that_never_ends_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STARTED_WRITE_S", 0.01)
    clock = TestClock()
    with pytest.raises(StoreUnavailable) as failed:
        await StartedWrites(clock, Mint(clock)).run(asyncio.Event().wait())
    assert failed.value.outcome is Outcome.UNKNOWN
