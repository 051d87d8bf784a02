"""The cache in this process's memory: exact, so that what passes here is worth something.  See `world.py`."""

from rookery_server.cache.memory.client import MemoryCache
from rookery_server.cache.memory.hooks import CacheHooks, Refused
from rookery_server.cache.memory.node import Node
from rookery_server.cache.memory.world import MemoryCacheWorld

__all__ = ["CacheHooks", "MemoryCache", "MemoryCacheWorld", "Node", "Refused"]
