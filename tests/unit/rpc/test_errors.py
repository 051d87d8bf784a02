from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.descriptor import Descriptor
from google.rpc import error_details_pb2, status_pb2

from rookery import errors as client_errors
from rookery.v1 import errors_pb2, tweets_pb2
from rookery_server.domain import errors as e
from rookery_server.rpc.errors import CODES, DETAILS, UnknownMethod, refusal_of
from tests.unit.rpc.conftest import Served

SECRET = "10.0.0.7 password=hunter2"


def tree(kind: type[e.RookeryError] = e.RookeryError) -> Iterator[type[e.RookeryError]]:
    """What may be met by that name.  Adapters may tell finer kinds apart among themselves."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ in ("rookery_server.domain.errors", "rookery_server.rpc.errors"):
            yield from tree(below)


EXAMPLES: tuple[e.RookeryError, ...] = (
    e.RookeryError(SECRET),
    e.InvalidArgument(e.Violation("page_size", "not_negative", "must not be negative")),
    e.InvalidText(e.Violation("text", "too_long", "is too long"), e.Violation("text", "nul", "holds NUL")),
    e.InvalidToken(e.Violation("page_token", "altered", "is not ours")),
    e.Unauthenticated("who?"),
    e.PermissionDenied("no"),
    e.AccountInactive("gone"),
    e.NotFound(),
    e.AlreadyExists("twice"),
    e.UsernameTaken("taken"),
    e.RequestIdReused("reused"),
    e.FailedPrecondition("first"),
    e.FollowLimitReached("enough"),
    e.Aborted("again"),
    e.StaleEtag("stale", metadata={"etag": "e2"}),
    e.ResourceExhausted("too much"),
    e.RateLimited("slow", retry_after_s=60.0),
    e.TooManyStreams("enough"),
    e.SlowConsumer("resume"),
    e.DeadlineExceeded("late", outcome=e.Outcome.UNKNOWN),
    e.DeadlineTooShort("short"),
    e.Unavailable(),
    e.StoreUnavailable(outcome=e.Outcome.UNKNOWN),
    e.CacheUnavailable(),
    e.CapReached(retry_after_s=1.5),
    e.IdsRefused("clock"),
    e.Internal(SECRET),
    UnknownMethod("no such method"),
)


def test_every_error_has_its_row_and_its_example() -> None:
    assert set(CODES) == set(tree())
    assert {type(example) for example in EXAMPLES} == set(tree())


def test_reasons_are_exactly_those_of_the_contract() -> None:
    declared = {name.removeprefix("ERROR_REASON_") for name in dict(errors_pb2.ErrorReason.items())} - {"UNSPECIFIED"}
    assert {kind.reason for kind in tree()} == declared


def _details(trailer: bytes) -> dict[str, any_pb2.Any]:
    return {d.type_url.rpartition("/")[2]: d for d in status_pb2.Status.FromString(trailer).details}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_refusal_carries_its_details(error: e.RookeryError) -> None:
    refusal = refusal_of(error, "r1")
    details = _details(refusal.trailer)
    info = error_details_pb2.ErrorInfo()
    assert details["google.rpc.ErrorInfo"].Unpack(info)
    assert (info.reason, info.domain) == (error.reason, "rookery")
    assert info.metadata["request_id"] == "r1"
    assert info.metadata["outcome"] == error.outcome.value
    wants_retry = refusal.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert ("google.rpc.RetryInfo" in details) == wants_retry
    assert ("google.rpc.BadRequest" in details) == (refusal.code is grpc.StatusCode.INVALID_ARGUMENT)
    assert SECRET not in repr(refusal)


def test_a_subclass_nobody_listed_goes_by_its_nearest_ancestor() -> None:
    class Novel(e.StoreUnavailable): ...

    assert refusal_of(Novel(), "r1").code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
async def test_errors_reach_the_client_over_the_wire(served: Served, error: e.RookeryError) -> None:
    served.servicer.fails("GetTweet", error)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.tweets.GetTweet(tweets_pb2.GetTweetRequest(id=1))
    assert caught.value.code() is CODES[type(error)]
    assert served.handled("GetTweet", CODES[type(error)].name) == 1
    seen = client_errors.from_rpc(caught.value)
    assert (seen.reason, seen.outcome) == (error.reason, error.outcome.value)
    assert seen.request_id
    assert seen.metadata.get("etag") == error.metadata.get("etag")
    assert [v.field for v in seen.violations] == [v.field for v in getattr(error, "violations", ())]
    assert seen.retry_after_s == getattr(error, "retry_after_s", None)
    assert SECRET not in str(caught.value)


async def test_an_unknown_exception_is_internal_and_says_nothing(served: Served) -> None:
    served.servicer.fails("GetTweet", ZeroDivisionError(SECRET))
    served.servicer.fails("CreateTweet", ZeroDivisionError(SECRET))
    for call, outcome in (
        (served.tweets.GetTweet(tweets_pb2.GetTweetRequest(id=1)), "none"),
        (
            served.tweets.CreateTweet(
                tweets_pb2.CreateTweetRequest(text="x"), metadata=(("rookery-acting-user", "5"),)
            ),
            "unknown",
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert caught.value.details() == "internal error"
        trailer = next(value for key, value in caught.value.trailing_metadata() or () if key == DETAILS)
        assert isinstance(trailer, bytes)
        assert SECRET.encode() not in trailer
        assert b"ZeroDivision" not in trailer
        assert client_errors.from_rpc(caught.value).outcome == outcome


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (errors_pb2.Status.DESCRIPTOR, status_pb2.Status.DESCRIPTOR),
        (errors_pb2.ErrorInfo.DESCRIPTOR, error_details_pb2.ErrorInfo.DESCRIPTOR),
        (errors_pb2.BadRequest.DESCRIPTOR, error_details_pb2.BadRequest.DESCRIPTOR),
        (errors_pb2.BadRequest.FieldViolation.DESCRIPTOR, error_details_pb2.BadRequest.FieldViolation.DESCRIPTOR),
        (errors_pb2.RetryInfo.DESCRIPTOR, error_details_pb2.RetryInfo.DESCRIPTOR),
    ],
    ids=lambda d: d.full_name,
)
def test_the_clients_copies_have_the_original_field_numbers(ours: Descriptor, theirs: Descriptor) -> None:
    for field in ours.fields:
        original = theirs.fields_by_name[field.name]
        assert (field.number, field.type) == (original.number, original.type)
        assert field.is_repeated == original.is_repeated
