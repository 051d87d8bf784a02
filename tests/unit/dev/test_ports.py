import random
import socket

import pytest

from rookery_server.dev import ports
from rookery_server.dev.errors import PortTaken


def test_a_listener_takes_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert not ports.is_free(port, ("127.0.0.2", "127.0.0.1"))
        assert ports.is_free(port, ("127.0.0.2",))
    assert ports.is_free(port)


def test_chosen_ports_are_different_and_leave_room_for_the_bus() -> None:
    chosen = ports.choose(6, bus=True, rng=random.Random(1), free=lambda port, hosts: True)

    assert len(set(chosen)) == 6
    assert all(port >= ports.LOWEST and port + ports.BUS_OFFSET < 32_768 for port in chosen)


def test_no_port_is_the_bus_port_of_another() -> None:
    every = ports.choose(
        ports.HIGHEST + 1 - ports.LOWEST, bus=True, rng=random.Random(1), free=lambda port, hosts: True
    )

    assert not {port + ports.BUS_OFFSET for port in every} & set(every)


def test_taken_and_avoided_ports_are_passed_over() -> None:
    first, second, third = few = range(ports.LOWEST, ports.LOWEST + 3)
    chosen = ports.choose(2, avoid={second}, rng=random.Random(1), free=lambda port, hosts: port in few)

    assert set(chosen) == {first, third}


def test_a_port_whose_bus_port_is_taken_is_passed_over() -> None:
    port = ports.LOWEST + 7
    few = {port - 2, port, port + ports.BUS_OFFSET}
    assert ports.choose(1, bus=True, rng=random.Random(1), free=lambda port, hosts: port in few) == (port,)


def test_an_exhausted_range_is_told() -> None:
    with pytest.raises(PortTaken, match="Fewer than 1 free ports"):
        ports.choose(1, rng=random.Random(1), free=lambda port, hosts: False)
