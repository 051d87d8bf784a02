"""What a caller hears after several tries."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from rookery.credentials import Credentials
from rookery.errors import DeadlineExceeded, RookeryError, Unavailable
from rookery.transport import Transport


def unavailable(outcome: str) -> RookeryError:
    return Unavailable("away", code=grpc.StatusCode.UNAVAILABLE, metadata={"outcome": outcome}, retry_after_s=0.0)


def no_stream() -> RookeryError:
    return DeadlineExceeded("busy", code=grpc.StatusCode.DEADLINE_EXCEEDED, metadata={"outcome": "none"})


class Answers(Transport):
    """Each try ends with the next of these."""

    def __init__(self, *answers: RookeryError):
        super().__init__("nowhere", None, 0)
        self._answers = list(answers)

    async def _once(self, *_: Any) -> Any:
        raise self._answers.pop(0)


@pytest.mark.parametrize(
    ("tries", "outcome"),
    [
        ([unavailable("unknown"), no_stream()], "unknown"),
        ([unavailable("unknown"), unavailable("none"), unavailable("none")], "unknown"),
        ([unavailable("none"), unavailable("none"), unavailable("none")], "none"),
        ([unavailable("none"), no_stream()], "none"),
        ([unavailable("none"), unavailable("unknown"), no_stream()], "unknown"),
    ],
)
async def test_nothing_happened_only_if_no_try_did_anything(tries: list[RookeryError], outcome: str) -> None:
    with pytest.raises(RookeryError) as failed:
        await Answers(*tries).call(object, "CreateTweet", Empty(), Empty, Credentials(), 5.0)
    assert failed.value is tries[-1]
    assert failed.value.outcome == outcome
