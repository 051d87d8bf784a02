"""How to reach a ring and how long to wait for it.  The wiring fills this from the process's configuration."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    contact_points: tuple[str, ...]
    port: int = 9042
    keyspace: str = "rookery"
    data_centre: str = "datacenter1"
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    read_s: float = 2.0
    """Hedged long before; the rest is for a ring that is starting or short of processors."""
    write_s: float = 2.0
    """With the wait for a slot below the 3 s a write attempt may live."""
    lwt_s: float = 2.0
    admin_s: float = 30.0
    """Schema changes and TRUNCATE."""
    connect_s: float = 10.0
    hedge_after_s: float = 0.05
    """About ten times a calm read: hides a stopped node, costs next to nothing otherwise."""
    hedge_many_after_s: float = 0.25
    """Of a read of many partitions, which takes some ten ms and is dear to repeat; a stopped node costs the call a
    quarter of its deadline."""
    hedges: int = 2
    """With the first attempt three hosts: every replica at RF 3."""
    in_flight: int = 256
    """Far below the driver's own limit, where it would block the thread it is called from."""
    slot_wait_s: float = 0.5
