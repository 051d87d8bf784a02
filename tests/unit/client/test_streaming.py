"""The live home of the client: opened again where it was, without repeats, with a pause that grows."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence

import grpc
import pytest

from rookery import errors
from rookery.streaming import FIRST_PAUSE_S, LONGEST_PAUSE_S, LiveHome
from rookery.v1 import timelines_pb2, tweets_pb2

Message = timelines_pb2.StreamHomeTimelineResponse


def message(token: str, *ids: int) -> Message:
    return Message(tweets=[tweets_pb2.Tweet(id=id_, text=f"number {id_}") for id_ in ids], resume_token=token)


def error(
    kind: type[errors.RookeryError] = errors.Unavailable,
    reason: str = "UNAVAILABLE",
    retry_after_s: float | None = None,
) -> errors.RookeryError:
    return kind("over", code=grpc.StatusCode.UNAVAILABLE, reason=reason, retry_after_s=retry_after_s)


class Streams:
    """Each opened stream is the next of these: messages, then an end or an error."""

    def __init__(self, *streams: Sequence[Message | errors.RookeryError]):
        self.opened: list[str] = []
        self.slept: list[float] = []
        self._streams = list(streams)

    async def open(self, token: str) -> AsyncGenerator[Message, None]:
        self.opened.append(token)
        for item in self._streams.pop(0):
            if isinstance(item, errors.RookeryError):
                raise item
            yield item

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def live(self, token: str = "", give_up_s: float | None = None) -> LiveHome:
        return LiveHome(self.open, token, give_up_s=give_up_s, chance=random.Random(1), sleep=self.sleep)


async def taken(live: LiveHome, count: int) -> list[list[int]]:
    found: list[list[int]] = []
    messages = live.messages()
    async for one in messages:
        found.append([tweet.id for tweet in one.tweets])
        if len(found) == count:
            break
    await messages.aclose()
    return found


async def test_it_goes_on_where_it_was() -> None:
    streams = Streams(
        [message("a", 1), message("b", 2), error()],
        [message("c", 3), error(errors.SlowConsumer, "SLOW_CONSUMER")],
        [message("d", 4)],  # ends without a word, as a proxy ends it
        [message("e", 5)],
    )
    assert await taken(streams.live(), 5) == [[1], [2], [3], [4], [5]]
    assert streams.opened == ["", "b", "c", "d"]


async def test_it_starts_at_a_given_token() -> None:
    streams = Streams([message("b", 2)])
    assert await taken(streams.live("a"), 1) == [[2]]
    assert streams.opened == ["a"]


async def test_repeats_are_dropped_and_the_rest_stays_whole() -> None:
    streams = Streams([message("a", 1, 2), error()], [message("b", 2, 1, 3), message("c", 3), message("d")])
    live = streams.live()
    assert await taken(live, 4) == [[1, 2], [3], [], []]


async def test_a_message_nobody_dealt_with_is_asked_for_again() -> None:
    streams = Streams([message("a", 1), message("b", 2)])
    live = streams.live()
    await taken(live, 2)
    assert live.resume_token == "a"


async def test_pauses_grow_while_nothing_works_and_start_anew_after_a_message() -> None:
    streams = Streams([error()], [error()], [error()], [message("a", 1), error()], [message("b", 2)])
    assert await taken(streams.live(), 2) == [[1], [2]]
    first, second, third, after = streams.slept
    assert 0.5 * FIRST_PAUSE_S <= first <= 1.5 * FIRST_PAUSE_S
    assert first < second < third
    assert after <= 1.5 * FIRST_PAUSE_S


async def test_pauses_are_bounded_and_follow_the_server() -> None:
    streams = Streams(*([error()] for _ in range(30)), [error(retry_after_s=60.0)], [message("a", 1)])
    await taken(streams.live(), 1)
    assert max(streams.slept[:-1]) <= 1.5 * LONGEST_PAUSE_S
    assert streams.slept[-1] == 60.0


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (errors.PermissionDenied, "PERMISSION_DENIED"),
        (errors.AccountInactive, "ACCOUNT_INACTIVE"),
        (errors.InvalidToken, "INVALID_TOKEN"),
        (errors.Internal, "INTERNAL"),
    ],
)
async def test_what_cannot_heal_comes_out_at_once(kind: type[errors.RookeryError], reason: str) -> None:
    streams = Streams([message("a", 1), error(kind, reason)])
    with pytest.raises(kind):
        await taken(streams.live(), 2)
    assert streams.slept == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (errors.StoreUnavailable, "STORE_UNAVAILABLE"),
        (errors.TooManyStreams, "TOO_MANY_STREAMS"),
        (errors.DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (errors.Cancelled, ""),
        (errors.Internal, ""),  # RST_STREAM, as a broken connection tells it
    ],
)
async def test_what_may_heal_is_tried_again(kind: type[errors.RookeryError], reason: str) -> None:
    streams = Streams([error(kind, reason)], [message("a", 1)])
    assert await taken(streams.live(), 1) == [[1]]


async def test_patience_ends_where_it_was_said_to() -> None:
    streams = Streams([error()])
    with pytest.raises(errors.Unavailable):
        await taken(streams.live(give_up_s=0.0), 1)
