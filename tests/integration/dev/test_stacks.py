"""Real stacks through what can happen to them. Cassandra adds nothing to it, so only Valkey is started."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery_server.dev import processes, state, valkey
from rookery_server.dev.errors import PortTaken, StackBusy
from rookery_server.dev.node import Node
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from tests.support.engines import NOWHERE


def valkey_only(folder: Path, name: str = "valkey", *, replicas: bool = False) -> Stack:
    return Stack(StackSpec(name=name, replicas=replicas, cassandra_at=NOWHERE), folder=folder)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with valkey_only(tmp_path / "stack") as made:
        yield made


def refs(folder: Path) -> list[processes.ProcessRef]:
    running = state.running(folder)
    assert running.keeper is not None
    return [running.keeper, *running.engines.values()]


def test_two_stacks_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    with valkey_only(tmp_path / "other") as other:
        assert valkey.whole([port for _, port in stack.valkey_nodes])
        assert valkey.whole([port for _, port in other.valkey_nodes])
        assert not set(stack.valkey_nodes) & set(other.valkey_nodes)
    assert valkey.whole([port for _, port in stack.valkey_nodes])


def test_a_stack_that_is_up_is_not_started_twice_nor_harmed_by_trying(stack: Stack) -> None:
    before = refs(stack.folder)

    with pytest.raises(StackBusy, match="is up already"):
        valkey_only(stack.folder).up()

    assert refs(stack.folder) == before
    assert stack.status().is_ready


def test_a_stack_comes_back_on_its_ports_or_on_new_ones_when_they_are_taken(stack: Stack) -> None:
    before = stack.valkey_nodes
    stack.down()
    stack.up()
    assert stack.valkey_nodes == before

    stack.down()
    with socket.create_server(before[1]):
        stack.up()
        assert before[1] not in stack.valkey_nodes
        assert {before[0], before[2]} < set(stack.valkey_nodes)
    assert valkey.whole([port for _, port in stack.valkey_nodes])


def test_a_port_taken_at_the_last_moment_is_told(stack: Stack, tmp_path: Path) -> None:
    host, port = stack.valkey_nodes[0]
    link = stack._link
    assert link is not None
    binary = Path(f"/proc/{stack.valkey[0].pid}/exe").resolve()
    log = tmp_path / "second.log"
    second = Node(
        "second",
        host,
        port,
        log,
        launch=lambda: link.start("second", [str(binary), *valkey.server_flags(port, 2000)], tmp_path, log),
        answers=lambda: valkey.answers(port),  # the first one answers there
    )
    second.start()
    assert processes.wait_gone(second.process, 10.0)

    with pytest.raises(PortTaken, match="bind: Address already in use"):
        second.wait_ready(time.monotonic() + 10)


def test_what_uses_the_engines_is_stopped_before_them(stack: Stack, tmp_path: Path) -> None:
    host, port = stack.valkey_nodes[0]
    seen = tmp_path / "seen"
    # On SIGTERM it writes down whether the engine still takes connections.
    script = (
        f"trap '(exec 3<>/dev/tcp/{host}/{port}) && echo still there >{seen}; exit' TERM; "
        f"touch {seen}; while :; do sleep 0.05; done"
    )

    node = stack.start_beside("user", ["bash", "-c", script], host=host, port=0, answers=seen.exists)
    stack.down()

    assert not processes.is_alive(node.process)
    assert seen.read_text() == "still there\n"


def test_nothing_is_left_after_down_and_after_wipe(stack: Stack) -> None:
    before = refs(stack.folder)
    stack.down()
    assert not any(map(processes.is_alive, before))
    assert stack.folder.exists()
    assert not stack.status().is_up

    stack.wipe()
    assert not stack.folder.exists()


def test_replicas_take_over_and_an_emptied_primary_stays_one(tmp_path: Path) -> None:
    with valkey_only(tmp_path / "stack", replicas=True) as stack:
        first, second = stack.valkey[0], stack.valkey[1]
        key = key_of_slot_range(1)
        with valkey.connected(second.port) as client:
            client.set(key, "value")
            assert client.wait(1, 5000) == 1

        second.restart_empty()
        stack.wait_valkey_whole(time.monotonic() + 30)
        with valkey.connected(second.port) as client:
            assert client.role()[0] == "master"
            assert client.get(key) is None

        first.kill()
        deadline = time.monotonic() + 30
        while not any(is_master(node.port) for node in stack.valkey[3:]):
            assert time.monotonic() < deadline, "no replica took over"
            time.sleep(0.05)
        first.restart()
        stack.wait_valkey_whole(time.monotonic() + 30)


def key_of_slot_range(index: int) -> str:
    first, last = valkey.slot_ranges(valkey.PRIMARIES)[index]
    return next(key for key in map(str, range(1000)) if first <= slot_of(key) <= last)


def slot_of(key: str) -> int:
    from redis.crc import key_slot

    return int(key_slot(key.encode()))


def is_master(port: int) -> bool:
    with valkey.connected(port) as client:
        return bool(client.role()[0] == "master")
