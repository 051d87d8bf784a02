"""The Cassandra adapter for the shared suite: `make_cassandra_store(clock)` over an empty keyspace on a real node."""

from tests.support.keyspaces import (
    SHARDS,
    cassandra_session,
    cassandra_settings,
    cassandra_store,
    empty_keyspace,
    make_cassandra_store,
)

__all__ = [
    "SHARDS",
    "cassandra_session",
    "cassandra_settings",
    "cassandra_store",
    "empty_keyspace",
    "make_cassandra_store",
]
