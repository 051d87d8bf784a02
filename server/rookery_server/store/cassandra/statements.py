"""What a noun module declares at its head: the text of a statement, its name and how it is run."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Profile(enum.Enum):
    """How a statement is run; the value is the metric label."""

    READ = "read"
    """LOCAL_QUORUM, rows as tuples, hedged, one hop."""
    READ_MANY = "read_many"
    """As READ, of several partitions, each read by its own replicas and at their quorum: hedged later."""
    WRITE = "write"
    """LOCAL_QUORUM, carries its own timestamp, safe to repeat."""
    LWT = "lwt"
    """Compare-and-set, or a read at SERIAL; rows as mappings by column; never repeated by the driver."""
    ADMIN = "admin"
    """About one node: its clock, its schema."""


_BARE_TABLE = re.compile(r"(?:\bFROM |\bINSERT INTO |^UPDATE )(?!\w+\.)")


@dataclass(frozen=True, slots=True)
class Statement:
    """`name` is unique: it is the metric label and what a session hook sees."""

    name: str
    cql: str
    profile: Profile
    at_serial: bool = False
    """A read that first finishes what an unknown compare-and-set left under way."""

    def inside(self, keyspace: str) -> str:
        """With its table qualified: after a USE the id of a prepared statement depends on the connection, and
        Cassandra warns about each."""
        return _BARE_TABLE.sub(rf"\g<0>{keyspace}.", self.cql, count=1)


def read(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.READ)


def read_many(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.READ_MANY)


def write(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.WRITE)


def compare_and_set(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.LWT)


def read_serial(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.LWT, at_serial=True)


def ask_node(name: str, cql: str) -> Statement:
    return Statement(name, cql, Profile.ADMIN)
