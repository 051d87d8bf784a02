"""Answers cross from driver threads to the loop: every one, once, and few wake-ups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from rookery_server.metrics import Metrics
from rookery_server.store.cassandra.bridge import Bridge, Ticket


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def _ticket(bridge: Bridge, metrics: Metrics) -> Ticket:
    return Ticket(bridge.future(), metrics.cassandra_request("tweet_get"), metrics.cassandra_in_flight("read"))


def _answer(bridge: Bridge, tickets: list[Ticket]) -> None:
    for number, ticket in enumerate(tickets):
        bridge.answered([(number,)], ticket)


async def test_answers_of_one_tick_cross_in_one_call(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Ticket] = []
    bridge = Bridge(ended.append)
    loop = asyncio.get_running_loop()
    wake, wakes = loop.call_soon_threadsafe, []

    def counted(callback: Callable[[], None]) -> None:
        wakes.append(callback)
        wake(callback)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    tickets = [_ticket(bridge, metrics) for _ in range(20)]
    driver = threading.Thread(target=_answer, args=(bridge, tickets))
    driver.start()
    driver.join()
    assert len(wakes) == 1
    assert await asyncio.gather(*(ticket.future for ticket in tickets)) == [[(n,)] for n in range(20)]
    assert ended == tickets
    timed = metrics.registry.get_sample_value("rookery_cassandra_request_seconds_count", {"statement": "tweet_get"})
    assert timed == 20


async def test_no_answer_is_lost_between_two_wake_ups(metrics: Metrics) -> None:
    bridge = Bridge(lambda ticket: None)
    tickets = [_ticket(bridge, metrics) for _ in range(2000)]
    drivers = [threading.Thread(target=_answer, args=(bridge, half)) for half in (tickets[::2], tickets[1::2])]
    for driver in drivers:
        driver.start()
    await asyncio.gather(*(ticket.future for ticket in tickets))
    for driver in drivers:
        driver.join()


async def test_errors_reach_the_caller(metrics: Metrics) -> None:
    bridge = Bridge(lambda ticket: None)
    ticket = _ticket(bridge, metrics)
    bridge.failed(KeyError("lost"), ticket)
    with pytest.raises(KeyError, match="lost"):
        await ticket.future


async def test_a_caller_that_went_away_is_still_accounted(metrics: Metrics) -> None:
    ended: list[Ticket] = []
    bridge = Bridge(ended.append)
    gone, here = _ticket(bridge, metrics), _ticket(bridge, metrics)
    gone.future.cancel()
    bridge.answered([], gone)
    bridge.answered([], here)
    await here.future
    assert ended == [gone, here]


def test_an_answer_after_the_loop_is_closed_is_dropped(metrics: Metrics) -> None:
    async def make() -> tuple[Bridge, Ticket]:
        bridge = Bridge(lambda ticket: None)
        return bridge, _ticket(bridge, metrics)

    loop = asyncio.new_event_loop()
    bridge, ticket = loop.run_until_complete(make())
    loop.close()
    bridge.answered([], ticket)
    assert not ticket.future.done()
