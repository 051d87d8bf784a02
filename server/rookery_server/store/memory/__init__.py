"""The store in this process's memory: exact, so that what passes here is worth something.  See `world.py`."""

from rookery_server.store.memory.cells import Cell, Mutation
from rookery_server.store.memory.client import MemoryStore
from rookery_server.store.memory.hooks import EVERYWHERE, REPLICAS, Commit, StoreHooks
from rookery_server.store.memory.world import MemoryStoreWorld

__all__ = ["EVERYWHERE", "REPLICAS", "Cell", "Commit", "MemoryStore", "MemoryStoreWorld", "Mutation", "StoreHooks"]
