"""A whole stack through a kill of everything."""

import signal

from rookery_server.dev import cql, processes, valkey
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec
from tests.integration.dev.test_stacks import refs
from tests.support.engines import SpecialStacks


def test_everything_acknowledged_is_there_after_everything_was_killed(special_stacks: SpecialStacks) -> None:
    with special_stacks(StackSpec(name="killed", durable=True)) as stack:
        say = "INSERT INTO kept.notes (id) VALUES ({})"
        query(stack, "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        query(stack, "CREATE TABLE kept.notes (id int PRIMARY KEY)")
        for number in range(50):
            query(stack, say.format(number))
        victims = refs(stack.folder)
        for victim in victims:
            processes.send(victim, signal.SIGKILL)

        with Stack(stack.spec, folder=stack.folder) as again:
            assert again.cassandra_port == stack.cassandra_port
            assert len(query(again, "SELECT id FROM kept.notes")) == 50
            assert valkey.whole([port for _, port in again.valkey_nodes])
        assert not any(map(processes.is_alive, victims))


def query(stack: Stack, statement: str) -> list[list[bytes | None]]:
    return cql.query(stack.cassandra_contact_points[0], stack.cassandra_port, statement)
