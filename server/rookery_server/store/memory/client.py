"""One process's view of the world: all roles."""

from __future__ import annotations

from rookery_server.store.memory.accounts import AccountsRole
from rookery_server.store.memory.graph import GraphRole
from rookery_server.store.memory.leases import LeasesRole
from rookery_server.store.memory.outbox import OutboxRole
from rookery_server.store.memory.relations import RelationsRole
from rookery_server.store.memory.tallies import TalliesRole
from rookery_server.store.memory.tweets import TweetsRole


class MemoryStore(AccountsRole, TweetsRole, GraphRole, RelationsRole, TalliesRole, OutboxRole, LeasesRole):
    """`store.interface.Store`."""

    async def close(self) -> None:
        return None
