"""The stack that all tests share."""

from rookery_server.dev import cql, valkey
from rookery_server.dev.state import Address


def test_cassandra_answers_queries(cassandra_address: Address) -> None:
    ((release,),) = cql.query(*cassandra_address, "SELECT release_version FROM system.local")

    assert release is not None
    assert release.startswith(b"5.0.")


def test_every_valkey_node_sees_the_whole_cluster(valkey_addresses: tuple[Address, ...]) -> None:
    assert len(valkey_addresses) == 3
    assert valkey.whole([port for _, port in valkey_addresses])
