from __future__ import annotations

import grpc
import pytest
import structlog

from rookery import errors as client_errors
from rookery.v1 import tweets_pb2
from rookery_server.domain import limits
from rookery_server.domain.errors import NotFound
from tests.unit.rpc.conftest import GET, Served

CREATE = "/rookery.v1.TweetService/CreateTweet"
AS_5 = (("rookery-acting-user", "5"),)
REQUEST = tweets_pb2.GetTweetRequest(id=1).SerializeToString()


async def failure(call: object) -> client_errors.RookeryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return client_errors.from_rpc(caught.value)


# --- decoding ------------------------------------------------------------------------------------------------

UNDECODABLE = {
    "cut short": b"\x08",
    "endless varint": b"\x08" + b"\xff" * 20,
    "wrong wire type group": b"\x0b\x0b\x0b",
    "length beyond the end": b"\x12\x7fabc",
    "invalid UTF-8": b"\x12\x02\xff\xfe",
    "field number 0": b"\x00\x01",
}


@pytest.mark.parametrize("raw", UNDECODABLE.values(), ids=UNDECODABLE.keys())
async def test_what_cannot_be_decoded_is_invalid_and_not_echoed(served: Served, raw: bytes) -> None:
    error = await failure(served.raw(GET)(raw))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.message == ": the request cannot be decoded"
    assert (error.reason, error.outcome) == ("INVALID_ARGUMENT", "none")
    assert served.servicer.calls == []
    assert served.handled("GetTweet", "INVALID_ARGUMENT") == 1


async def test_unknown_fields_are_ignored(served: Served) -> None:
    await served.raw(GET)(REQUEST + b"\xfa\x3f\x01x")
    assert len(served.servicer.calls) == 1


@pytest.mark.parametrize("id_", [-1, -(1 << 63), (1 << 63) - 1])
async def test_ids_never_minted_are_invalid(served: Served, id_: int) -> None:
    error = await failure(served.tweets.GetTweet(tweets_pb2.GetTweetRequest(id=id_)))
    assert [v.field for v in error.violations] == ["id"]
    many = tweets_pb2.BatchGetTweetsRequest(ids=[1, id_])
    error = await failure(served.tweets.BatchGetTweets(many))
    assert [v.field for v in error.violations] == ["ids"]
    assert served.servicer.calls == []


async def test_batches_are_bounded_before_anything_is_read(served: Served) -> None:
    many = tweets_pb2.BatchGetTweetsRequest(ids=[1] * (limits.BATCH_IDS + 1))
    assert (await failure(served.tweets.BatchGetTweets(many))).code is grpc.StatusCode.INVALID_ARGUMENT
    assert served.servicer.calls == []


# --- deadlines -----------------------------------------------------------------------------------------------


def _given(served: Served, began: float) -> tuple[float, float]:
    """How many seconds the use case was given, at the least and at the most, if the call began then."""
    deadline = served.servicer.calls[-1][2].deadline
    return deadline - served.clock.monotonic(), deadline - began


async def test_defaults_for_calls_without_deadline(served: Served) -> None:
    began = served.clock.monotonic()
    await served.raw(GET)(REQUEST)
    least, most = _given(served, began)
    assert least <= 0.9 * limits.READ_DEADLINE_S <= most
    began = served.clock.monotonic()
    await served.raw(CREATE)(b"", metadata=AS_5)
    least, most = _given(served, began)
    assert least <= 0.9 * limits.WRITE_DEADLINE_S <= most
    without = served.metrics.registry.get_sample_value(
        "rookery_rpc_without_deadline_total", {"grpc_method": "GetTweet"}
    )
    assert without == 1


async def test_no_deadline_exceeds_the_maximum(served: Served) -> None:
    began = served.clock.monotonic()
    await served.raw(GET)(REQUEST, timeout=10 * 365 * 86400)
    least, most = _given(served, began)
    assert least <= limits.MAX_DEADLINE_S * 0.9 <= most


async def test_what_is_passed_down_leaves_time_for_the_way_back(served: Served) -> None:
    began = served.clock.monotonic()
    await served.raw(GET)(REQUEST, timeout=0.1)
    least, _ = _given(served, began)
    rounded_up = 0.002  # on the wire
    assert least <= 0.1 + rounded_up - limits.DEADLINE_SPARE_S < 0.1 * 0.9


async def test_a_write_that_cannot_finish_is_refused_at_the_door(served: Served) -> None:
    # Shorter than a write needs, longer than the way there: the refusal itself must arrive.
    call = served.raw(CREATE)(b"", metadata=AS_5, timeout=limits.MIN_WRITE_LEFT_S * 0.9)
    error = await failure(call)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (error.reason, error.outcome) == ("DEADLINE_TOO_SHORT", "none")
    assert served.servicer.calls == []
    refused = served.metrics.registry.get_sample_value("rookery_deadline_refused_total", {"reason": "too_short_write"})
    assert refused == 1


async def test_time_over_ends_a_read_and_leaves_a_write_unknown(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_DEADLINE_S", 0.2)  # ours ends first, so that our answer arrives
    for name in ("GetTweet", "CreateTweet"):
        served.servicer.hangs(name)
    read = await failure(served.raw(GET)(REQUEST, timeout=30))
    write = await failure(served.raw(CREATE)(b"", metadata=AS_5, timeout=30))
    assert (read.reason, read.outcome) == ("DEADLINE_EXCEEDED", "none")
    assert (write.reason, write.outcome) == ("DEADLINE_EXCEEDED", "unknown")
    assert served.handled("GetTweet", "DEADLINE_EXCEEDED") == 1


# --- callers that leave --------------------------------------------------------------------------------------


async def test_a_caller_that_leaves_is_counted_and_logged_as_such(served: Served) -> None:
    hanging = served.servicer.hangs("CreateTweet")
    with structlog.testing.capture_logs() as logs:
        await hanging.leave(served.raw(CREATE)(b"", metadata=AS_5))
    assert served.handled("CreateTweet", "CANCELLED") == 1
    assert [(line["code"], line["outcome"]) for line in logs] == [("CANCELLED", "unknown")]


# --- counting and logging ------------------------------------------------------------------------------------


async def test_calls_are_counted_by_the_code_that_is_sent(served: Served) -> None:
    await served.raw(GET)(REQUEST)
    served.servicer.fails("GetTweet", NotFound())
    await failure(served.raw(GET)(REQUEST))
    labels = {"grpc_type": "unary", "grpc_service": "rookery.v1.TweetService", "grpc_method": "GetTweet"}
    value = served.metrics.registry.get_sample_value
    assert value("grpc_server_started_total", labels) == 2
    assert value("grpc_server_msg_received_total", labels) == 2
    assert value("grpc_server_msg_sent_total", labels) == 1
    assert value("grpc_server_handling_seconds_count", labels) == 2
    assert value("rookery_rpc_in_flight", {"grpc_method": "GetTweet"}) == 0
    assert (served.handled("GetTweet", "OK"), served.handled("GetTweet", "NOT_FOUND")) == (1, 1)


async def test_the_access_line_tells_all_but_content(served: Served) -> None:
    secret = "the text of a tweet"
    request = tweets_pb2.CreateTweetRequest(text=secret).SerializeToString()
    metadata = (*AS_5, ("x-request-id", "abc-1"), ("authorization", f"Bearer {secret}"))
    with structlog.testing.capture_logs() as logs:
        await served.raw(CREATE)(request, metadata=metadata, timeout=5)
    (line,) = logs
    assert secret not in str(line)
    assert {k: line[k] for k in ("method", "code", "outcome", "acting_user", "caller", "request_id", "attempt")} == {
        "method": "CreateTweet",
        "code": "OK",
        "outcome": "ok",
        "acting_user": 5,
        "caller": "development",
        "request_id": "abc-1",
        "attempt": 1,
    }
    # On the wire a time-out has two or three digits, rounded up (gRPC core, timeout_encoding): up to a hundredth more.
    assert 4000 < line["deadline_ms"] <= 5050
    assert line["reply_bytes"] > 0


async def test_errors_are_always_logged_and_plain_reads_rarely(served: Served) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            await served.raw(GET)(REQUEST)
        served.servicer.fails("GetTweet", NotFound())
        error = await failure(served.raw(GET)(REQUEST))
    assert [line["request_id"] for line in logs if line["code"] == "NOT_FOUND"] == [error.request_id]
    assert sum(line["code"] == "OK" for line in logs) < 5


@pytest.mark.parametrize("odd", ["x" * 65, "a b", "a;b", ""])
async def test_request_ids_that_could_spoil_a_log_are_replaced(served: Served, odd: str) -> None:
    served.servicer.fails("GetTweet", NotFound())
    error = await failure(served.raw(GET)(REQUEST, metadata=(("x-request-id", odd),)))
    assert error.request_id
    assert error.request_id != odd
