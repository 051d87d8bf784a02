import os
import random
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from rookery_server.dev import processes, state
from rookery_server.dev.errors import LocalClusterError, PortTaken, StackMismatch
from rookery_server.dev.records import write_json
from rookery_server.dev.state import Remembered, StackSpec

BEFORE = Remembered(nodes=1, cql_port=10_001, storage_port=10_002, valkey_ports=(10_003, 10_004, 10_005))


def all_but(*taken: int) -> Callable[[int, Collection[str]], bool]:
    return lambda port, hosts: port not in taken


def plan(spec: StackSpec, before: Remembered | None, *taken: int) -> Remembered:
    return state.plan_ports(spec, before, random.Random(1), all_but(*taken))


def test_a_new_stack_gets_ports_that_all_differ() -> None:
    made = plan(StackSpec(nodes=3, replicas=True), None)

    assert made.nodes == 3
    assert len({made.cql_port, made.storage_port, *made.valkey_ports}) == 8


def test_a_stack_comes_back_on_its_ports() -> None:
    assert plan(StackSpec(), BEFORE) == BEFORE


@pytest.mark.parametrize(("taken", "field"), [(10_001, "cql_port"), (10_002, "storage_port")])
def test_a_single_node_moves_from_a_taken_port(taken: int, field: str) -> None:
    made = plan(StackSpec(), BEFORE, taken)

    assert getattr(made, field) != taken
    other = {"cql_port": "storage_port", "storage_port": "cql_port"}[field]
    assert getattr(made, other) == getattr(BEFORE, other)


@pytest.mark.parametrize("taken", [10_004, 20_004])
def test_a_valkey_node_moves_from_a_taken_port_or_bus_port(taken: int) -> None:
    made = plan(StackSpec(), BEFORE, taken)

    assert 10_004 not in made.valkey_ports
    assert set(made.valkey_ports) > {10_003, 10_005}
    assert len(made.valkey_ports) == 3


def test_replicas_are_added_to_what_is_there_and_left_out_again() -> None:
    six = plan(StackSpec(replicas=True), BEFORE)

    assert six.valkey_ports[:3] == BEFORE.valkey_ports
    assert len(set(six.valkey_ports)) == 6
    assert plan(StackSpec(), six) == BEFORE


def test_a_ring_with_data_cannot_change_its_storage_port() -> None:
    ring = Remembered(3, 10_001, 10_002, BEFORE.valkey_ports)

    assert plan(StackSpec(nodes=3), ring, 10_001).storage_port == 10_002
    with pytest.raises(PortTaken, match=r"Port 10002, .* is taken by another program"):
        plan(StackSpec(nodes=3), ring, 10_002)


def test_data_of_one_node_is_not_taken_for_a_ring_of_three() -> None:
    with pytest.raises(StackMismatch, match="holds the data of one node, and 3 nodes are asked for"):
        plan(StackSpec(nodes=3), BEFORE)


def test_what_is_remembered_comes_back_and_a_cut_file_counts_as_none(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None
    state.save(tmp_path, BEFORE)
    assert state.load(tmp_path) == BEFORE
    (tmp_path / "stack.json").write_text('{"nodes": 1,')
    assert state.load(tmp_path) is None


def test_only_the_same_process_of_the_same_boot_counts_as_running(tmp_path: Path) -> None:
    me = processes.reference(os.getpid())
    assert me is not None
    ended = subprocess.Popen(["true"])
    ended.wait()
    found = {"boot": me.boot, "keeper": [me.pid, me.started], "engines": {}}
    found["engines"] = {"same": [me.pid, me.started], "reused": [me.pid, me.started - 1], "ended": [ended.pid, 1]}

    write_json(tmp_path / "running.json", found)
    assert state.running(tmp_path) == state.Running(me, {"same": me})

    write_json(tmp_path / "running.json", found | {"boot": "another"})
    assert state.running(tmp_path) == state.Running(None, {})


def test_without_a_record_nothing_runs(tmp_path: Path) -> None:
    assert state.running(tmp_path) == state.Running(None, {})
    assert not state.is_kept(tmp_path)


def test_addresses_are_parsed() -> None:
    assert state.parse_addresses("") == ()
    assert state.parse_addresses("127.0.0.1:1, host:22") == (("127.0.0.1", 1), ("host", 22))


@pytest.mark.parametrize("text", ["host", "host:", ":1", "host:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(LocalClusterError, match="is not HOST:PORT"):
        state.parse_addresses(text)


def test_a_spec_that_cannot_be_is_refused() -> None:
    with pytest.raises(LocalClusterError, match="1 or 3 Cassandra nodes, not 2"):
        StackSpec(nodes=2)
    with pytest.raises(LocalClusterError, match="cannot be durable too"):
        StackSpec(throwaway=True)
