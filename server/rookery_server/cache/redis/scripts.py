"""The Lua scripts: short, each on the keys of one slot.  Their files say what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from rookery_server.cache.redis.commands import Word, bulk, pack


@dataclass(frozen=True, slots=True)
class Script:
    source: bytes
    sha: str
    """As the server names it: SHA-1 of the source, in hex."""

    @classmethod
    def load(cls, name: str) -> Script:
        source = resources.files("rookery_server.cache.redis").joinpath("scripts", f"{name}.lua").read_bytes()
        return cls(source, hashlib.sha1(source, usedforsecurity=False).hexdigest())

    @property
    def loading(self) -> bytes:
        """The packed command that gives a server the script."""
        return pack("SCRIPT", "LOAD", self.source)

    def call(self, keys: Sequence[bytes], *words: Word) -> bytes:
        """The packed call; a server that lost the script answers NOSCRIPT."""
        return pack("EVALSHA", self.sha, len(keys), *keys, *words)

    def calls_alike(self, keys: Iterable[bytes], *words: Word) -> list[bytes]:
        """A call for each key alone, all with the same words, which are packed once."""
        head = b"*%d\r\n" % (4 + len(words)) + b"".join(bulk(word) for word in ("EVALSHA", self.sha, 1))
        tail = b"".join(bulk(word) for word in words)
        return [b"%b$%d\r\n%b\r\n%b" % (head, len(key), key, tail) for key in keys]


@dataclass(frozen=True, slots=True)
class Scripts:
    """All of them, loaded into a server by each handshake."""

    place: Script
    trim: Script
    refresh: Script
    begin: Script
    finish: Script
    swap: Script
    keep: Script
    stub: Script
    advance: Script
    adopt: Script

    @classmethod
    def load(cls) -> Scripts:
        return cls(**{name: Script.load(name) for name in cls.__slots__})

    def loading(self) -> tuple[bytes, ...]:
        """The packed commands that give a server every script."""
        return tuple(getattr(self, name).loading for name in self.__slots__)
