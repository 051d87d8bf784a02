"""What the adapter must be told."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from rookery_server.domain import limits


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """`host:port`; the host may be an IPv6 address in brackets.  Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError(f"{text!r} is not host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the cluster is, and how long to wait for it."""

    addresses: tuple[Address, ...]
    """Any nodes of the cluster; the others are found through them."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    remap: Mapping[Address, Address] = field(default_factory=dict)
    """Announced address → the one to dial: for clusters behind address translation."""
    timeout_s: float = 0.25
    """A reply later than this ends the connection.  A calm node answers in 1 ms; a quarter of a second is a stall."""
    connect_timeout_s: float = 1.0
    """Connection and handshake together."""
    queue: int = 1_000
    """Commands one connection may have unanswered: nothing waits without bound."""
    topology_period_s: float = 5.0
    """How old the slot map may grow without any sign of change."""
    backoff_s: float = 0.05
    backoff_max_s: float = 0.5
    """After a failed connection the node is left alone this long, doubling: promotions take seconds, not minutes."""
    relations_life_s: float = limits.RELATIONS_LIFE_S
    """How long loaded relations and their stubs live; a tier change is announced for longer (tier.md)."""

    @property
    def relations_life_ms(self) -> int:
        return round(self.relations_life_s * 1000)
