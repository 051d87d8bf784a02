"""The map of driver errors: complete, and true to what is known of a write."""

from __future__ import annotations

import inspect
from types import ModuleType, SimpleNamespace

import cassandra
import cassandra.cluster
import cassandra.connection
import cassandra.pool
import cassandra.protocol
import pytest
from cassandra.policies import RetryPolicy

from rookery_server.domain.errors import Internal, Outcome, StoreUnavailable
from rookery_server.store.cassandra.errors import CAS_WRITE_UNKNOWN, MEANINGS, DriverErrors, OneHop, as_driver_error

MODULES = (cassandra, cassandra.cluster, cassandra.connection, cassandra.pool, cassandra.protocol)
KINDS = {"unavailable", "write_timeout", "read_timeout", "failure", "overloaded", "connection", "cas_unknown", "other"}
READ: dict[str, bool] = {}
WRITE, LWT = {"write": True}, {"lwt": True}


def _unmapped(*modules: ModuleType) -> set[str]:
    found = (cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass))
    theirs = (cls for cls in found if issubclass(cls, BaseException) and cls.__module__.startswith("cassandra"))
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in theirs if cls not in MEANINGS}


def _made(cls: type[BaseException]) -> BaseException:
    """An instance without its constructor, which for half of them wants a frame of the wire."""
    return cls.__new__(cls)


def _raised(error: BaseException, mode: dict[str, bool], *, doubt: bool = False) -> tuple[BaseException, list[str]]:
    counted: list[str] = []
    policy = OneHop(lambda kind: None)
    policy.doubt = doubt
    with pytest.raises((Internal, StoreUnavailable)) as raised, DriverErrors(policy, counted.append, **mode):
        raise error
    assert raised.value.__cause__ is error
    return raised.value, counted


def _outcome(error: BaseException, mode: dict[str, bool], *, doubt: bool = False) -> Outcome:
    raised, _ = _raised(error, mode, doubt=doubt)
    assert isinstance(raised, StoreUnavailable)
    return raised.outcome


def test_every_class_of_the_driver_is_mapped() -> None:
    """A new release of the driver that brings a new class fails here: decide what it means before using it."""
    assert _unmapped(*MODULES) == set()


def test_a_new_class_is_noticed() -> None:
    """Also one that inherits from a mapped class: its meaning has to be decided, not inherited by accident."""
    newer = ModuleType("cassandra.newer")
    newer.CasWriteUnknown = type(  # type: ignore[attr-defined]
        "CasWriteUnknown", (cassandra.WriteTimeout,), {"__module__": "cassandra.newer"}
    )
    assert _unmapped(newer) == {"cassandra.newer.CasWriteUnknown"}


@pytest.mark.parametrize("cls", sorted(MEANINGS, key=repr), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_class_leaves_as_a_domain_error_and_is_counted(cls: type[BaseException]) -> None:
    for mode in (READ, WRITE, LWT):
        _, counted = _raised(_made(cls), mode)
        assert set(counted) < KINDS
        assert len(counted) == 1


@pytest.mark.parametrize(
    "cls",
    [
        cassandra.WriteTimeout, cassandra.WriteFailure, cassandra.OperationTimedOut, cassandra.CDCWriteFailure,
        cassandra.protocol.OverloadedErrorMessage, cassandra.protocol.ServerError,
        cassandra.connection.ConnectionShutdown, cassandra.connection.ConnectionException,
        cassandra.protocol.ErrorMessage, cassandra.DriverException,
    ],
)  # fmt: skip
def test_unknown_for_writes_and_nothing_to_undo_for_reads(cls: type[BaseException]) -> None:
    assert _outcome(_made(cls), WRITE) is Outcome.UNKNOWN
    assert _outcome(_made(cls), LWT) is Outcome.UNKNOWN
    assert _outcome(_made(cls), READ) is Outcome.NONE


@pytest.mark.parametrize("cls", [cassandra.Unavailable, cassandra.protocol.IsBootstrappingErrorMessage])
def test_a_refusal_is_proof_except_for_compare_and_set(cls: type[BaseException]) -> None:
    assert _outcome(_made(cls), WRITE) is Outcome.NONE
    assert _outcome(_made(cls), LWT) is Outcome.UNKNOWN


def test_a_refusal_after_a_lost_connection_proves_nothing() -> None:
    assert _outcome(_made(cassandra.Unavailable), WRITE, doubt=True) is Outcome.UNKNOWN
    assert _outcome(_made(cassandra.cluster.NoHostAvailable), WRITE, doubt=True) is Outcome.UNKNOWN


def test_no_host_reached_is_proof() -> None:
    assert _outcome(_made(cassandra.cluster.NoHostAvailable), WRITE) is Outcome.NONE
    assert _outcome(_made(cassandra.cluster.NoHostAvailable), LWT) is Outcome.NONE


@pytest.mark.parametrize("cls", [cassandra.InvalidRequest, cassandra.Unauthorized, cassandra.protocol.SyntaxException])
def test_our_own_mistakes_are_internal_and_say_nothing(cls: type[BaseException]) -> None:
    raised, _ = _raised(_made(cls), WRITE)
    assert isinstance(raised, Internal)
    assert raised.public == "the store refused a statement"


def test_the_code_the_driver_does_not_know() -> None:
    error = cassandra.protocol.ErrorMessage(CAS_WRITE_UNKNOWN, "CAS operation result is unknown", None)
    raised, counted = _raised(error, LWT)
    assert isinstance(raised, StoreUnavailable)
    assert raised.outcome is Outcome.UNKNOWN
    assert counted == ["cas_unknown"]


def test_a_timeout_is_counted_by_what_was_asked() -> None:
    assert _raised(_made(cassandra.OperationTimedOut), READ)[1] == ["read_timeout"]
    assert _raised(_made(cassandra.OperationTimedOut), WRITE)[1] == ["write_timeout"]


def test_what_is_not_the_drivers_passes() -> None:
    with pytest.raises(KeyError), DriverErrors(OneHop(lambda kind: None), lambda kind: None, write=True):
        raise KeyError("ours")


def test_a_fault_inside_the_driver_is_unknown() -> None:
    assert _outcome(as_driver_error(KeyError("in a decoder")), WRITE) is Outcome.UNKNOWN


# --- the retry policy -----------------------------------------------------------------------------------------

HOP, RETHROW = RetryPolicy.RETRY_NEXT_HOST, RetryPolicy.RETHROW
IDEMPOTENT, ONCE = SimpleNamespace(is_idempotent=True), SimpleNamespace(is_idempotent=False)
REFUSALS = {"required_replicas": 2, "alive_replicas": 1}
TIMEOUT = {"required_responses": 2, "received_responses": 1}


@pytest.fixture
def hops() -> list[str]:
    return []


@pytest.fixture
def policy(hops: list[str]) -> OneHop:
    return OneHop(hops.append)


def test_reads_hop_once(policy: OneHop, hops: list[str]) -> None:
    for number, expected in ((0, HOP), (1, RETHROW)):
        decision = policy.on_read_timeout(IDEMPOTENT, consistency=6, **TIMEOUT, data_retrieved=False, retry_num=number)
        assert decision == (expected, None)
        assert policy.on_unavailable(IDEMPOTENT, consistency=6, **REFUSALS, retry_num=number) == (expected, None)
    assert hops == ["read_timeout", "unavailable"]
    assert not policy.doubt


def test_what_is_not_idempotent_never_hops(policy: OneHop, hops: list[str]) -> None:
    assert policy.on_read_timeout(ONCE, consistency=6, **TIMEOUT, data_retrieved=True, retry_num=0)[0] == RETHROW
    assert policy.on_unavailable(ONCE, consistency=6, **REFUSALS, retry_num=0)[0] == RETHROW
    lost = cassandra.connection.ConnectionException("gone")
    assert policy.on_request_error(ONCE, 6, error=lost, retry_num=0)[0] == RETHROW
    assert hops == []
    assert policy.doubt


@pytest.mark.parametrize("write_type", list(cassandra.WriteType.name_to_value.values()))
def test_write_timeouts_are_never_repeated_by_the_driver(policy: OneHop, hops: list[str], write_type: int) -> None:
    decision = policy.on_write_timeout(IDEMPOTENT, consistency=6, write_type=write_type, **TIMEOUT, retry_num=0)
    assert decision == (RETHROW, None)
    assert hops == []
    assert policy.doubt


@pytest.mark.parametrize("cls", [cassandra.protocol.OverloadedErrorMessage, cassandra.protocol.ServerError,
                                 cassandra.protocol.TruncateError])  # fmt: skip
def test_overload_and_server_errors_are_not_carried_on(policy: OneHop, cls: type[BaseException]) -> None:
    assert policy.on_request_error(IDEMPOTENT, 6, error=_made(cls), retry_num=0) == (RETHROW, None)
    assert policy.doubt


def test_a_bootstrapping_node_is_left_by_everything(policy: OneHop, hops: list[str]) -> None:
    refused = _made(cassandra.protocol.IsBootstrappingErrorMessage)
    assert policy.on_request_error(ONCE, 6, error=refused, retry_num=0) == (HOP, None)
    assert policy.on_request_error(ONCE, 6, error=refused, retry_num=1) == (RETHROW, None)
    assert hops == ["bootstrapping"]
    assert not policy.doubt


def test_a_lost_connection_hops_once_and_leaves_doubt(policy: OneHop, hops: list[str]) -> None:
    lost = cassandra.connection.ConnectionShutdown("gone")
    assert policy.on_request_error(IDEMPOTENT, 6, error=lost, retry_num=0) == (HOP, None)
    assert policy.on_request_error(IDEMPOTENT, 6, error=lost, retry_num=1) == (RETHROW, None)
    assert hops == ["connection"]
    assert policy.doubt
