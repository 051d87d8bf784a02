"""Stores over a real node."""

from tests.support.keyspaces import (  # noqa: F401 - fixtures, found here by name
    cassandra_session,
    cassandra_settings,
    cassandra_store,
    empty_keyspace,
    make_cassandra_store,
    open_hooked,
)
