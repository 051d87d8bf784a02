"""Every reason of the contract has its own exception, and only our own details count."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from rookery import errors
from rookery.v1 import errors_pb2


def failed(code: grpc.StatusCode, *details: object, raw: bytes | None = None) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=code.value[0], message="said so")
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)  # type: ignore[arg-type]
        status.details.append(packed)
    trailer = grpc.aio.Metadata(("grpc-status-details-bin", raw if raw is not None else status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailer, "said so")


def test_every_reason_of_the_contract_has_a_class() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name, _ in errors_pb2.ErrorReason.items()} - {"UNSPECIFIED"}
    assert names == set(errors.BY_REASON)
    assert len(set(errors.BY_REASON.values())) == len(errors.BY_REASON)


def test_an_error_carries_what_the_server_said() -> None:
    info = error_details_pb2.ErrorInfo(
        reason="STALE_ETAG", domain="rookery", metadata={"etag": "e7", "outcome": "none", "request_id": "r1"}
    )
    error = errors.from_rpc(failed(grpc.StatusCode.ABORTED, info))
    assert isinstance(error, errors.StaleEtag)
    assert (error.etag, error.outcome, error.request_id, error.reason) == ("e7", "none", "r1", "STALE_ETAG")


def test_field_violations_and_retry_delay_are_read() -> None:
    bad = error_details_pb2.BadRequest(
        field_violations=[error_details_pb2.BadRequest.FieldViolation(field="text", description="too long")]
    )
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(250)
    error = errors.from_rpc(failed(grpc.StatusCode.INVALID_ARGUMENT, bad, retry))
    assert error.violations == (errors.FieldViolation("text", "too long"),)
    assert error.retry_after_s == 0.25


@pytest.mark.parametrize(
    "error",
    [
        failed(grpc.StatusCode.UNAVAILABLE),
        failed(grpc.StatusCode.UNAVAILABLE, raw=b"\xff\xff not a status"),
        failed(grpc.StatusCode.UNAVAILABLE, error_details_pb2.ErrorInfo(reason="X", domain="a.proxy")),
    ],
)
def test_without_our_details_the_class_follows_the_code_and_nothing_is_proven(error: grpc.aio.AioRpcError) -> None:
    found = errors.from_rpc(error)
    assert type(found) is errors.Unavailable
    assert found.outcome == "unknown"


@pytest.mark.parametrize("name", ["Status", "ErrorInfo", "BadRequest", "RetryInfo"])
def test_copies_have_the_field_numbers_of_the_originals(name: str) -> None:
    original = getattr(status_pb2 if name == "Status" else error_details_pb2, name).DESCRIPTOR
    copy = getattr(errors_pb2, name).DESCRIPTOR
    ours = {field.name: (field.number, field.type) for field in copy.fields}
    theirs = {field.name: (field.number, field.type) for field in original.fields}
    assert ours.items() <= theirs.items()
    assert ours
